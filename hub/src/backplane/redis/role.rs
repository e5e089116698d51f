//! Determines which of several Redis servers is the master, by the command `ROLE`. Called by the `connector` for each connection,
//! on `timely`.

use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, Client, RedisResult, Value};
use tokio::time::timeout;

use super::address::RedisAddr;
use super::link_error::{MASTER_QUERY_TIMEOUTS, REQUEST_TIMEOUT, RedisLinkError};

/// Returns the first server that is a master. `client` creates a client for a server.
///
/// # Errors
/// Returns [`RedisLinkError::NoMasterFound`] with the answer of each server, or an error of `client`.
pub(super) async fn master(
    servers: &[RedisAddr],
    client: impl Fn(&RedisAddr) -> Result<Client, RedisLinkError>,
) -> Result<RedisAddr, RedisLinkError> {
    let mut answers = Vec::new();
    // All servers are asked with the short timeout first, so that one that does not respond hardly delays the others.
    for query_timeout in MASTER_QUERY_TIMEOUTS {
        answers.clear();
        for server in servers {
            let client = client(server)?;
            let query = async {
                let settings = AsyncConnectionConfig::new().set_response_timeout(Some(REQUEST_TIMEOUT));
                is_master(&mut client.get_multiplexed_async_connection_with_config(&settings).await?).await
            };
            let (host, port) = server;
            match timeout(query_timeout, query).await.map_err(RedisLinkError::from).flatten() {
                Ok(true) => return Ok(server.clone()),
                Ok(false) => answers.push(format!("{host}:{port} is a replica")),
                Err(error) => answers.push(format!("{host}:{port}: {error}")),
            }
        }
    }
    Err(RedisLinkError::NoMasterFound(answers.join("; ")))
}

/// Returns `true` if the server of a connection is a master.
pub(super) async fn is_master(connection: &mut MultiplexedConnection) -> Result<bool, RedisLinkError> {
    let role: RedisResult<Vec<Value>> = timeout(REQUEST_TIMEOUT, redis::cmd("ROLE").query_async(connection)).await?;
    Ok(matches!(role?.first(), Some(Value::BulkString(role)) if role == b"master"))
}
