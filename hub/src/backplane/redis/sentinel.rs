//! Asks Sentinels for the address of the master.

use std::time::Duration;

use redis::Client;
use tokio::time::timeout;

use super::address::RedisAddr;
use super::link_error::{MASTER_QUERY_TIMEOUTS, RedisLinkError};
use crate::config;

/// Returns the master of a service, from the first Sentinel that knows it. `client` creates a client for a server, with or
/// without a login.
///
/// # Errors
/// Returns [`RedisLinkError::MasterUnknown`] with the answer of each Sentinel, or the error of the file with the authority.
pub(super) async fn master(
    settings: &config::RedisConfig,
    service: &str,
    client: impl Fn(&RedisAddr, bool) -> Result<Client, RedisLinkError>,
) -> Result<RedisAddr, RedisLinkError> {
    let mut answers = Vec::new();
    // All Sentinels are asked with the short timeout first, so that one that does not respond hardly delays the others.
    for query_timeout in MASTER_QUERY_TIMEOUTS {
        answers.clear();
        for sentinel in &settings.servers {
            let result = ask_with_timeout(settings, service, sentinel, query_timeout, &client).await;
            match result {
                Ok(Some(master)) => return Ok(master),
                Err(error @ RedisLinkError::CaFile(_)) => return Err(error),
                Ok(None) => answers.push(format!("{}:{} does not know it", sentinel.0, sentinel.1)),
                Err(error) => answers.push(format!("{}:{}: {error}", sentinel.0, sentinel.1)),
            }
        }
    }
    Err(RedisLinkError::MasterUnknown { service: service.to_owned(), answers: answers.join("; ") })
}

/// Asks one Sentinel for the master of a service. Returns `None` if the Sentinel does not know the service.
pub(super) async fn ask_with_timeout(
    settings: &config::RedisConfig,
    service: &str,
    sentinel: &RedisAddr,
    query_timeout: Duration,
    client: impl Fn(&RedisAddr, bool) -> Result<Client, RedisLinkError>,
) -> Result<Option<RedisAddr>, RedisLinkError> {
    let result = timeout(query_timeout, ask(service, client(sentinel, false)?)).await.map_err(RedisLinkError::from);
    let result = result.flatten();
    // Most Sentinels have no password, and reject a login. So the login is sent only if one requires it.
    if matches!(&result, Err(RedisLinkError::Redis(error)) if error.code() == Some("NOAUTH"))
        && settings.password.is_some()
    {
        return timeout(query_timeout, ask(service, client(sentinel, true)?)).await?;
    }
    result
}

async fn ask(service: &str, client: Client) -> Result<Option<RedisAddr>, RedisLinkError> {
    let mut connection = client.get_multiplexed_async_connection().await?;
    let mut command = redis::cmd("SENTINEL");
    Ok(command.arg("get-master-addr-by-name").arg(service).query_async(&mut connection).await?)
}
