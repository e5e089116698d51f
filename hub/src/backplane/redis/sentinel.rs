//! Asks Sentinels where the master is.

use redis::Client;
use tokio::time::timeout;

use super::connector::RedisAddr;
use super::link_error::{MASTER_QUERY_TIMEOUTS, RedisLinkError};
use crate::config;

/// The master of the service that the settings name, as the first of the Sentinels tells that knows one. `client` opens a
/// client for a server, with a login or without.
///
/// # Errors
/// What each of them said instead.
pub(super) async fn master(
    settings: &config::RedisConfig,
    service: &str,
    client: impl Fn(&RedisAddr, bool) -> Result<Client, RedisLinkError>,
) -> Result<RedisAddr, RedisLinkError> {
    let mut said = Vec::new();
    // One that does not answer delays the others only once all have been asked in short.
    for query_timeout in MASTER_QUERY_TIMEOUTS {
        said.clear();
        for sentinel in &settings.servers {
            let mut asked = timeout(query_timeout, ask(service, client(sentinel, false)?))
                .await
                .map_err(RedisLinkError::from)
                .flatten();
            // Most have no password, and refuse who gives one.
            if matches!(&asked, Err(RedisLinkError::Redis(error)) if error.code() == Some("NOAUTH"))
                && settings.password.is_some()
            {
                asked = timeout(query_timeout, ask(service, client(sentinel, true)?))
                    .await
                    .map_err(RedisLinkError::from)
                    .flatten();
            }
            match asked {
                Ok(Some(master)) => return Ok(master),
                Ok(None) => said.push(format!("{}:{} does not know it", sentinel.0, sentinel.1)),
                Err(lost) => said.push(format!("{}:{}: {lost}", sentinel.0, sentinel.1)),
            }
        }
    }
    Err(RedisLinkError::MasterUnknown { service: service.to_owned(), said: said.join("; ") })
}

async fn ask(service: &str, client: Client) -> Result<Option<RedisAddr>, RedisLinkError> {
    let mut connection = client.get_multiplexed_async_connection().await?;
    let mut command = redis::cmd("SENTINEL");
    Ok(command.arg("get-master-addr-by-name").arg(service).query_async(&mut connection).await?)
}
