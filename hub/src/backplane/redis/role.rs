//! Asks servers of Redis which of them is the master.

use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, Client, RedisResult, Value};
use tokio::time::timeout;

use super::connector::RedisAddr;
use super::link_error::{MASTER_QUERY_TIMEOUTS, REQUEST_TIMEOUT, RedisLinkError};

/// Returns the first of these servers that is a master. `client` opens a client for a server.
///
/// # Errors
/// What each of them said instead.
pub(super) async fn master(
    servers: &[RedisAddr],
    client: impl Fn(&RedisAddr) -> Result<Client, RedisLinkError>,
) -> Result<RedisAddr, RedisLinkError> {
    let mut said = Vec::new();
    // One that does not answer delays the others only once all have been asked in short.
    for query_timeout in MASTER_QUERY_TIMEOUTS {
        said.clear();
        for server in servers {
            let client = client(server)?;
            let question = async {
                let settings = AsyncConnectionConfig::new().set_response_timeout(Some(REQUEST_TIMEOUT));
                is_master(&mut client.get_multiplexed_async_connection_with_config(&settings).await?).await
            };
            let (host, port) = server;
            match timeout(query_timeout, question).await.map_err(RedisLinkError::from).flatten() {
                Ok(true) => return Ok(server.clone()),
                Ok(false) => said.push(format!("{host}:{port} is a replica")),
                Err(lost) => said.push(format!("{host}:{port}: {lost}")),
            }
        }
    }
    Err(RedisLinkError::NoMasterFound(said.join("; ")))
}

/// Returns whether the server of a connection says that it is a master.
pub(super) async fn is_master(connection: &mut MultiplexedConnection) -> Result<bool, RedisLinkError> {
    let role: RedisResult<Vec<Value>> = timeout(REQUEST_TIMEOUT, redis::cmd("ROLE").query_async(connection)).await?;
    Ok(matches!(role?.first(), Some(Value::BulkString(role)) if role == b"master"))
}
