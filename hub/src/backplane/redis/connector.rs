//! Opens connections to the master of a Redis deployment. Errors contain no password, because they only quote the library and
//! Redis.

use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use redis::aio::{MultiplexedConnection, PubSub};
use redis::{
    AsyncConnectionConfig, Client, ConnectionAddr, IntoConnectionInfo, RedisConnectionInfo, RedisResult,
    TlsCertificates,
};
use tokio::time::{sleep, timeout};

use super::address::{RedisAddr, RedisServer};
use super::link_error::{REQUEST_TIMEOUT, RedisLinkError};
use super::{cluster_owner, role, sentinel};
use crate::config;
use crate::net::trusted_roots;

/// The interval between pings of a connection.
pub(super) const PING_INTERVAL: Duration = Duration::from_secs(1);

/// The interval at which the master is determined again.
const MASTER_CHECK_INTERVAL: Duration = Duration::from_secs(5);

/// The connect timeout if none is configured.
const DEFAULT_CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// The time after which a second attempt starts beside a pending one. The system repeats a lost packet only after seconds, so a
/// single attempt could delay the connection by seconds after Redis is available again.
const ATTEMPT_INTERVAL: Duration = Duration::from_millis(400);

/// The time after which nodes of a Redis Cluster that cannot reach the others refuse writes, if it is not configured in Redis.
const CLUSTER_NODE_TIMEOUT: Duration = Duration::from_secs(15);

/// Opens connections to the master of a Redis deployment, or to the node of a Redis Cluster that has the records.
#[derive(Clone)]
pub(super) struct Connector {
    pub(super) settings: config::RedisConfig,
    /// A key in the slot of the records.
    pub(super) record_key: String,
}

/// A connection and its server.
pub(super) struct Connected<T> {
    pub(super) connection: T,
    pub(super) server: RedisServer,
}

impl Connector {
    /// Opens a connection for commands.
    pub(super) async fn multiplexed(&self) -> Result<Connected<MultiplexedConnection>, RedisLinkError> {
        race_attempts(self.connect_timeout(), || async {
            let server = self.server().await?;
            let settings = AsyncConnectionConfig::new()
                .set_connection_timeout(Some(self.connect_timeout()))
                .set_response_timeout(Some(REQUEST_TIMEOUT));
            let client = self.client(&server.address, true)?;
            let mut connection = client.get_multiplexed_async_connection_with_config(&settings).await?;
            // The servers that were asked may be outdated. A message that is published at a replica reaches no subscriber.
            if self.has_choice(&server) && !role::is_master(&mut connection).await? {
                return Err(RedisLinkError::NotMaster);
            }
            Ok(Connected { connection, server })
        })
        .await
    }

    /// Opens a connection for subscriptions.
    pub(super) async fn pubsub(&self) -> Result<Connected<PubSub>, RedisLinkError> {
        race_attempts(self.connect_timeout(), || async {
            let server = self.server().await?;
            let connection = self.client(&server.address, true)?.get_async_pubsub().await?;
            Ok(Connected { connection, server })
        })
        .await
    }

    /// Runs `work` on a connection to `server` until another server is known to be the master.
    pub(super) async fn run_while_master<T>(
        &self,
        server: &RedisServer,
        work: impl Future<Output = Result<T, RedisLinkError>>,
    ) -> Result<T, RedisLinkError> {
        tokio::select! {
            result = work => result,
            error = self.master_changed(server) => Err(error),
        }
    }

    /// Returns once another server is the master. Never returns if there is only one server.
    async fn master_changed(&self, from: &RedisServer) -> RedisLinkError {
        loop {
            if !self.has_choice(from) {
                std::future::pending::<()>().await;
            }
            sleep(MASTER_CHECK_INTERVAL).await;
            // If no server answers, the connection is kept.
            if self.server().await.is_ok_and(|server| server != *from) {
                return RedisLinkError::MasterChanged;
            }
        }
    }

    /// Returns the time after a failover within which other replicas may still publish at the former master: until they have
    /// determined the master again.
    pub(super) fn peer_failover_grace(&self, server: &RedisServer) -> Duration {
        match server.is_cluster_node {
            true => CLUSTER_NODE_TIMEOUT + MASTER_CHECK_INTERVAL + 2 * REQUEST_TIMEOUT,
            false if self.has_choice(server) => MASTER_CHECK_INTERVAL + 2 * REQUEST_TIMEOUT,
            false => Duration::ZERO,
        }
    }

    /// Returns `true` if another server than `server` may become the master.
    fn has_choice(&self, server: &RedisServer) -> bool {
        self.settings.service.is_some() || self.settings.servers.len() > 1 || server.is_cluster_node
    }

    /// Determines the master, or the node of a cluster that has the records.
    async fn server(&self) -> Result<RedisServer, RedisLinkError> {
        let settings = &self.settings;
        let address = match (&settings.service, &settings.servers[..]) {
            (Some(service), _) => {
                let master = sentinel::master(settings, service, |server, login| self.client(server, login)).await?;
                return Ok(RedisServer { address: master, is_cluster_node: false });
            }
            (None, [server]) => server.clone(),
            (None, servers) => role::master(servers, |server| self.client(server, true)).await?,
        };
        let client = self.client(&address, true)?;
        cluster_owner::owner(address, client, &self.record_key).await
    }

    fn connect_timeout(&self) -> Duration {
        self.settings.connect_timeout.unwrap_or(DEFAULT_CONNECT_TIMEOUT)
    }

    pub(super) fn client(&self, (host, port): &RedisAddr, login: bool) -> Result<Client, RedisLinkError> {
        let Connector { settings, .. } = self;
        let mut info = RedisConnectionInfo::default().set_skip_set_lib_name();
        if login {
            // The database matters for records only. Channels do not depend on it.
            info = info.set_db(i64::from(settings.database));
        }
        if let Some(username) = settings.username.as_ref().filter(|_| login) {
            info = info.set_username(username);
        }
        if let Some(password) = settings.password.as_ref().filter(|_| login) {
            info = info.set_password(password.reveal());
        }
        let (host, port) = (host.clone(), *port);
        let address = match settings.tls {
            true => ConnectionAddr::TcpTls { host, port, insecure: false, tls_params: None },
            false => ConnectionAddr::Tcp(host, port),
        };
        let info = address.into_connection_info()?.set_redis_settings(info);
        if !settings.tls {
            return Ok(Client::open(info)?);
        }
        // Loaded for each connection, because the certificates may have changed.
        let root_cert = trusted_roots::root_pem(settings.ca_file.as_deref()).map_err(RedisLinkError::CaFile)?;
        let client: RedisResult<Client> = Client::build_with_tls(info, TlsCertificates { client_tls: None, root_cert });
        Ok(client?)
    }
}

/// Starts an attempt every [`ATTEMPT_INTERVAL`] until one of them ends. Returns its outcome.
async fn race_attempts<T, F: Future<Output = Result<T, RedisLinkError>>>(
    connect_timeout: Duration,
    attempt: impl Fn() -> F,
) -> Result<T, RedisLinkError> {
    let attempts = async {
        let mut running = FuturesUnordered::new();
        loop {
            running.push(attempt());
            if let Ok(Some(outcome)) = timeout(ATTEMPT_INTERVAL, running.next()).await {
                return outcome;
            }
        }
    };
    timeout(connect_timeout, attempts).await?
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::Cell;

    #[tokio::test]
    async fn race_attempts_hanging_attempt_is_superseded_by_the_next() {
        let attempts = Cell::new(0);
        let attempt = || async {
            attempts.set(attempts.get() + 1);
            if attempts.get() == 1 { std::future::pending().await } else { Ok(attempts.get()) }
        };
        assert!(matches!(race_attempts(DEFAULT_CONNECT_TIMEOUT, attempt).await, Ok(2)));
    }

    #[tokio::test]
    async fn race_attempts_failing_attempt_returns_its_error_at_once() {
        let attempts = Cell::new(0);
        let attempt = || async {
            attempts.set(attempts.get() + 1);
            Err::<(), RedisLinkError>(RedisLinkError::Closed)
        };
        assert!(matches!(race_attempts(DEFAULT_CONNECT_TIMEOUT, attempt).await, Err(RedisLinkError::Closed)));
        assert_eq!(attempts.get(), 1);
    }

    #[tokio::test]
    async fn race_attempts_all_hanging_time_out() {
        let outcome = race_attempts(2 * ATTEMPT_INTERVAL, std::future::pending::<Result<(), RedisLinkError>>).await;
        assert!(matches!(outcome, Err(RedisLinkError::Timeout(_))));
    }
}
