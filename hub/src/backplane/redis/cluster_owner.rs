//! Determines which node of a Redis Cluster has the records. All their keys have one hash tag, so one node has them all. Pushes are
//! published and received there as well: the nodes pass messages on to each other, but do not tell if they lose some.
//! Called by the `connector` for each connection, on `timely`.

use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, Client, ErrorKind, RedisError, RedisResult, ServerErrorKind, Value};
use tokio::time::timeout;

use super::address::{RedisAddr, RedisServer};
use super::link_error::{REQUEST_TIMEOUT, RedisLinkError};

/// Returns the server that has a key: the one at `address`, or the node of its cluster to which it redirects. `client` is for
/// `address`.
pub(super) async fn owner(address: RedisAddr, client: Client, key: &str) -> Result<RedisServer, RedisLinkError> {
    let settings = AsyncConnectionConfig::new().set_response_timeout(Some(REQUEST_TIMEOUT));
    let query = async {
        let mut connection = client.get_multiplexed_async_connection_with_config(&settings).await?;
        ask(&mut connection, key).await
    };
    let (read, is_node) = timeout(REQUEST_TIMEOUT, query).await??;
    Ok(match read.err().as_ref().and_then(moved_to) {
        Some(node) => RedisServer { address: node, is_cluster_node: true },
        None => RedisServer { address, is_cluster_node: is_node },
    })
}

/// Reads a key, and whether the server is a node of a cluster. A user without these rights finds no cluster.
async fn ask(connection: &mut MultiplexedConnection, key: &str) -> RedisResult<(RedisResult<Value>, bool)> {
    let mut pipe = redis::pipe();
    pipe.ignore_errors();
    pipe.cmd("GET").arg(key).cmd("INFO").arg("cluster");
    let results: Vec<RedisResult<Value>> = pipe.query_async(connection).await?;
    let mut results = results.into_iter();
    let mut next = || results.next().unwrap_or(Ok(Value::Nil));
    let (read, info) = (next(), next());
    let info: Option<String> = info.ok().and_then(|info| redis::from_redis_value(info).ok());
    Ok((read, info.is_some_and(|info| info.lines().any(|line| line.trim_end() == "cluster_enabled:1"))))
}

/// Returns the node that has the keys of a command, if Redis answered with it.
pub(super) fn moved_to(error: &RedisError) -> Option<RedisAddr> {
    if !matches!(error.kind(), ErrorKind::Server(ServerErrorKind::Moved)) {
        return None;
    }
    let (node, _) = error.redirect_node()?;
    let (host, port) = node.rsplit_once(':')?;
    let host = host.trim_start_matches('[').trim_end_matches(']');
    Some((host.to_owned(), port.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moved_to_returns_the_node_of_a_redirection() {
        let answer = |text: &str| {
            let mut parser = redis::Parser::new();
            let value = parser.parse_value(text.as_bytes()).expect("RESP");
            moved_to(&value.extract_error().expect_err("an error"))
        };
        assert_eq!(answer("-MOVED 866 10.0.0.7:6379\r\n"), Some(("10.0.0.7".to_owned(), 6379)));
        assert_eq!(answer("-MOVED 866 fd00::7:6379\r\n"), Some(("fd00::7".to_owned(), 6379)));
        for other in ["-ASK 866 10.0.0.7:6379\r\n", "-MOVED\r\n", "-MOVED 866 somewhere\r\n", "-ERR no\r\n"] {
            assert_eq!(answer(other), None, "{other}");
        }
    }
}
