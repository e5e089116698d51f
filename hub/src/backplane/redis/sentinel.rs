//! Asks Sentinels where the master is.

use redis::{Client, RedisError};
use tokio::time::timeout;

use super::lost::{Lost, PATIENCE};
use crate::config;

/// A server's host and port.
pub(super) type Server = (String, u16);

/// The master of the service that the settings name, as the first of the Sentinels tells that knows one. `client` opens a
/// client for a server, with a login or without.
///
/// # Errors
/// What each of them said instead.
pub(super) async fn master(
    settings: &config::Redis,
    service: &str,
    client: impl Fn(&Server, bool) -> Result<Client, Lost>,
) -> Result<Server, Lost> {
    let mut said = Vec::new();
    for sentinel in &settings.servers {
        let mut asked = ask(service, client(sentinel, false)?).await;
        // Most have no password, and refuse who gives one.
        if matches!(&asked, Err(Lost::Redis(error)) if error.code() == Some("NOAUTH")) && settings.password.is_some() {
            asked = ask(service, client(sentinel, true)?).await;
        }
        match asked {
            Ok(Some(master)) => return Ok(master),
            Ok(None) => said.push(format!("{}:{} does not know it", sentinel.0, sentinel.1)),
            Err(lost) => said.push(format!("{}:{}: {lost}", sentinel.0, sentinel.1)),
        }
    }
    Err(Lost::Nowhere { service: service.to_owned(), said: said.join("; ") })
}

async fn ask(service: &str, client: Client) -> Result<Option<Server>, Lost> {
    let question = async {
        let mut connection = client.get_multiplexed_async_connection().await?;
        let mut command = redis::cmd("SENTINEL");
        let master: Option<Server> =
            command.arg("get-master-addr-by-name").arg(service).query_async(&mut connection).await?;
        Ok::<_, RedisError>(master)
    };
    Ok(timeout(PATIENCE, question).await??)
}
