//! Asks Sentinels for the address of the master.

use redis::Client;
use tokio::time::timeout;

use super::address::RedisAddr;
use super::link_error::{MASTER_QUERY_TIMEOUTS, RedisLinkError};
use crate::config;

/// Returns the master of a service, from the first Sentinel that knows it. `client` creates a client for a server, with or
/// without a login.
///
/// # Errors
/// Returns [`RedisLinkError::MasterUnknown`] with the answer of each Sentinel, or an error of `client`.
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
            let mut result = timeout(query_timeout, ask(service, client(sentinel, false)?))
                .await
                .map_err(RedisLinkError::from)
                .flatten();
            // Most Sentinels have no password, and reject a login. So the login is sent only if one requires it.
            if matches!(&result, Err(RedisLinkError::Redis(error)) if error.code() == Some("NOAUTH"))
                && settings.password.is_some()
            {
                result = timeout(query_timeout, ask(service, client(sentinel, true)?))
                    .await
                    .map_err(RedisLinkError::from)
                    .flatten();
            }
            match result {
                Ok(Some(master)) => return Ok(master),
                Ok(None) => answers.push(format!("{}:{} does not know it", sentinel.0, sentinel.1)),
                Err(error) => answers.push(format!("{}:{}: {error}", sentinel.0, sentinel.1)),
            }
        }
    }
    Err(RedisLinkError::MasterUnknown { service: service.to_owned(), answers: answers.join("; ") })
}

async fn ask(service: &str, client: Client) -> Result<Option<RedisAddr>, RedisLinkError> {
    let mut connection = client.get_multiplexed_async_connection().await?;
    let mut command = redis::cmd("SENTINEL");
    Ok(command.arg("get-master-addr-by-name").arg(service).query_async(&mut connection).await?)
}
