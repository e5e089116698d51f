//! Opens connections to Redis. Nothing here tells the password: errors are the library's and Redis' own words.

use std::io;
use std::time::Duration;

use redis::aio::{MultiplexedConnection, PubSub};
use redis::{
    AsyncConnectionConfig, Client, ConnectionAddr, IntoConnectionInfo, RedisConnectionInfo, RedisError, RedisResult,
    TlsCertificates,
};
use tokio::time::{error::Elapsed, timeout};

use crate::{config, trust};

/// How long Redis may take for an answer.
pub(super) const PATIENCE: Duration = Duration::from_secs(3);

/// How long it may say nothing before it is asked whether it is there.
pub(super) const SILENCE: Duration = Duration::from_secs(5);

/// How long it may take to connect, if the settings do not say.
const CONNECT: Duration = Duration::from_secs(5);

/// Why a connection is not there, or not any more.
#[derive(Debug, thiserror::Error)]
pub(super) enum Lost {
    /// Redis, or the way to it.
    #[error("{0}")]
    Redis(#[from] RedisError),
    /// The file of the certificate authority.
    #[error("backplane.redis.ca_file: {0}")]
    CaFile(io::Error),
    /// It says nothing.
    #[error("no answer in time")]
    Silent(#[from] Elapsed),
    /// It does not say which run of Redis it is.
    #[error("INFO names no run_id")]
    Nameless,
    /// It ended.
    #[error("the connection ended")]
    Ended,
}

/// Knows where Redis is.
#[derive(Clone)]
pub(super) struct Dialer(pub(super) config::Redis);

impl Dialer {
    /// A connection that publishes.
    pub(super) async fn multiplexed(&self) -> Result<MultiplexedConnection, Lost> {
        let client = self.client()?;
        let within = self.within();
        let settings =
            AsyncConnectionConfig::new().set_connection_timeout(Some(within)).set_response_timeout(Some(PATIENCE));
        Ok(timeout(within, client.get_multiplexed_async_connection_with_config(&settings)).await??)
    }

    /// A connection that hears what is published.
    pub(super) async fn pubsub(&self) -> Result<PubSub, Lost> {
        let client = self.client()?;
        Ok(timeout(self.within(), client.get_async_pubsub()).await??)
    }

    fn within(&self) -> Duration {
        self.0.connect_timeout.unwrap_or(CONNECT)
    }

    fn client(&self) -> Result<Client, Lost> {
        let Dialer(settings) = self;
        let Some((host, port)) = settings.servers.first().cloned() else { return Err(Lost::Ended) };
        // For what is kept: channels know no database.
        let mut login = RedisConnectionInfo::default().set_skip_set_lib_name().set_db(i64::from(settings.database));
        if let Some(username) = &settings.username {
            login = login.set_username(username);
        }
        if let Some(password) = &settings.password {
            login = login.set_password(password.reveal());
        }
        let address = match settings.tls {
            true => ConnectionAddr::TcpTls { host, port, insecure: false, tls_params: None },
            false => ConnectionAddr::Tcp(host, port),
        };
        let to = address.into_connection_info()?.set_redis_settings(login);
        if !settings.tls {
            return Ok(Client::open(to)?);
        }
        // Asked anew each time: they may have changed.
        let root_cert = trust::authorities(settings.ca_file.as_deref()).map_err(Lost::CaFile)?;
        let client: RedisResult<Client> = Client::build_with_tls(to, TlsCertificates { client_tls: None, root_cert });
        Ok(client?)
    }
}
