//! Opens connections to Redis. Nothing here tells the password: errors are the library's and Redis' own words.

use std::time::Duration;

use redis::aio::{MultiplexedConnection, PubSub};
use redis::{
    AsyncConnectionConfig, Client, ConnectionAddr, IntoConnectionInfo, RedisConnectionInfo, RedisResult,
    TlsCertificates, Value,
};
use tokio::time::{sleep, timeout};

use super::lost::{Lost, PATIENCE};
use super::sentinel::{self, Server};
use crate::{config, trust};

/// How long it may say nothing before it is asked whether it is there.
pub(super) const SILENCE: Duration = Duration::from_secs(5);

/// How long it may take to connect, if the settings do not say.
const CONNECT: Duration = Duration::from_secs(5);

/// Knows where Redis is.
#[derive(Clone)]
pub(super) struct Dialer(pub(super) config::Redis);

/// A connection, and to which server.
pub(super) struct Dialed<T> {
    pub(super) connection: T,
    pub(super) server: Server,
}

impl Dialer {
    /// A connection that publishes.
    pub(super) async fn multiplexed(&self) -> Result<Dialed<MultiplexedConnection>, Lost> {
        let server = self.server().await?;
        let (client, within) = (self.client(&server, true)?, self.within());
        let settings =
            AsyncConnectionConfig::new().set_connection_timeout(Some(within)).set_response_timeout(Some(PATIENCE));
        let connection = client.get_multiplexed_async_connection_with_config(&settings);
        let mut connection = timeout(within, connection).await??;
        if self.0.service.is_some() {
            // Who was the master may not know yet that it is none: what is published there reaches nobody.
            let role: Vec<Value> = timeout(PATIENCE, redis::cmd("ROLE").query_async(&mut connection)).await??;
            if !matches!(role.first(), Some(Value::BulkString(role)) if role == b"master") {
                return Err(Lost::NoMaster);
            }
        }
        Ok(Dialed { connection, server })
    }

    /// A connection that hears what is published.
    pub(super) async fn pubsub(&self) -> Result<Dialed<PubSub>, Lost> {
        let server = self.server().await?;
        let connection = timeout(self.within(), self.client(&server, true)?.get_async_pubsub()).await??;
        Ok(Dialed { connection, server })
    }

    /// Does `work` on a connection to `server` for as long as that is the master, as far as Sentinels say.
    pub(super) async fn led<T>(&self, server: &Server, work: impl Future<Output = Result<T, Lost>>) -> Result<T, Lost> {
        tokio::select! {
            done = work => done,
            lost = self.moved(server) => Err(lost),
        }
    }

    /// Ends when the Sentinels name another master than this one; never without Sentinels.
    async fn moved(&self, from: &Server) -> Lost {
        loop {
            if self.0.service.is_none() {
                std::future::pending::<()>().await;
            }
            sleep(SILENCE).await;
            // Sentinels that do not answer are no reason to leave.
            if self.server().await.is_ok_and(|server| server != *from) {
                return Lost::Moved;
            }
        }
    }

    /// How long after this process others may still publish at a master that is none any more: until they have asked the
    /// Sentinels, and those have answered.
    pub(super) fn others_have_moved(&self) -> Duration {
        if self.0.service.is_some() { SILENCE + 2 * PATIENCE } else { Duration::ZERO }
    }

    /// Where the master is.
    async fn server(&self) -> Result<Server, Lost> {
        match &self.0.service {
            None => self.0.servers.first().cloned().ok_or(Lost::Ended),
            Some(service) => sentinel::master(&self.0, service, |server, login| self.client(server, login)).await,
        }
    }

    fn within(&self) -> Duration {
        self.0.connect_timeout.unwrap_or(CONNECT)
    }

    fn client(&self, (host, port): &Server, login: bool) -> Result<Client, Lost> {
        let Dialer(settings) = self;
        let mut with = RedisConnectionInfo::default().set_skip_set_lib_name();
        if login {
            // For what is kept: channels know no database.
            with = with.set_db(i64::from(settings.database));
        }
        if let Some(username) = settings.username.as_ref().filter(|_| login) {
            with = with.set_username(username);
        }
        if let Some(password) = settings.password.as_ref().filter(|_| login) {
            with = with.set_password(password.reveal());
        }
        let (host, port) = (host.clone(), *port);
        let address = match settings.tls {
            true => ConnectionAddr::TcpTls { host, port, insecure: false, tls_params: None },
            false => ConnectionAddr::Tcp(host, port),
        };
        let to = address.into_connection_info()?.set_redis_settings(with);
        if !settings.tls {
            return Ok(Client::open(to)?);
        }
        // Asked anew each time: they may have changed.
        let root_cert = trust::authorities(settings.ca_file.as_deref()).map_err(Lost::CaFile)?;
        let client: RedisResult<Client> = Client::build_with_tls(to, TlsCertificates { client_tls: None, root_cert });
        Ok(client?)
    }
}
