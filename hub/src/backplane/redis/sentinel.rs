//! Asks Sentinels where the master is.

use redis::Client;
use tokio::time::timeout;

use super::dialer::Server;
use super::lost::{ASKING, Lost};
use crate::config;

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
    // One that does not answer delays the others only once all have been asked in short.
    for patience in ASKING {
        said.clear();
        for sentinel in &settings.servers {
            let mut asked =
                timeout(patience, ask(service, client(sentinel, false)?)).await.map_err(Lost::from).flatten();
            // Most have no password, and refuse who gives one.
            if matches!(&asked, Err(Lost::Redis(error)) if error.code() == Some("NOAUTH"))
                && settings.password.is_some()
            {
                asked = timeout(patience, ask(service, client(sentinel, true)?)).await.map_err(Lost::from).flatten();
            }
            match asked {
                Ok(Some(master)) => return Ok(master),
                Ok(None) => said.push(format!("{}:{} does not know it", sentinel.0, sentinel.1)),
                Err(lost) => said.push(format!("{}:{}: {lost}", sentinel.0, sentinel.1)),
            }
        }
    }
    Err(Lost::Nowhere { service: service.to_owned(), said: said.join("; ") })
}

async fn ask(service: &str, client: Client) -> Result<Option<Server>, Lost> {
    let mut connection = client.get_multiplexed_async_connection().await?;
    let mut command = redis::cmd("SENTINEL");
    Ok(command.arg("get-master-addr-by-name").arg(service).query_async(&mut connection).await?)
}
