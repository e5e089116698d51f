//! Asks servers of Redis which of them is the master.

use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, Client, RedisResult, Value};
use tokio::time::timeout;

use super::dialer::Server;
use super::lost::{ASKING, Lost, PATIENCE};

/// Returns the first of these servers that is a master. `client` opens a client for a server.
///
/// # Errors
/// What each of them said instead.
pub(super) async fn master(
    servers: &[Server],
    client: impl Fn(&Server) -> Result<Client, Lost>,
) -> Result<Server, Lost> {
    let mut said = Vec::new();
    // One that does not answer delays the others only once all have been asked in short.
    for patience in ASKING {
        said.clear();
        for server in servers {
            let client = client(server)?;
            let question = async {
                let settings = AsyncConnectionConfig::new().set_response_timeout(Some(PATIENCE));
                is_master(&mut client.get_multiplexed_async_connection_with_config(&settings).await?).await
            };
            let (host, port) = server;
            match timeout(patience, question).await.map_err(Lost::from).flatten() {
                Ok(true) => return Ok(server.clone()),
                Ok(false) => said.push(format!("{host}:{port} is a replica")),
                Err(lost) => said.push(format!("{host}:{port}: {lost}")),
            }
        }
    }
    Err(Lost::NoneIsMaster(said.join("; ")))
}

/// Returns whether the server of a connection says that it is a master.
pub(super) async fn is_master(connection: &mut MultiplexedConnection) -> Result<bool, Lost> {
    let role: RedisResult<Vec<Value>> = timeout(PATIENCE, redis::cmd("ROLE").query_async(connection)).await?;
    Ok(matches!(role?.first(), Some(Value::BulkString(role)) if role == b"master"))
}
