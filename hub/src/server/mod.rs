//! Composition root of a hub: builds its stages from the reactors to the source. The source starts last and stops first.
//! [`Server::serve`] runs on the main thread.

pub mod admin;
pub mod fd_budget;
pub(crate) mod listener;
pub mod preflight;
pub mod shutdown;
pub mod timely_runtime;

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use serde::Serialize;
use tokio::sync::watch;
use tokio::time::timeout;

use self::admin::Admin;
use self::fd_budget::FdBudget;
use self::preflight::Preflight;
use self::shutdown::RunningHub;
use self::timely_runtime::TimelyRuntime;
use crate::auth::claims::ValidationRules;
use crate::auth::keys::jwks_client::JwksClient;
use crate::auth::keys::key_watch::KeyWatch;
use crate::auth::{Authenticator, Verifier};
use crate::backplane::{Backplane, LocalBackplane, RedisBackplane};
use crate::config::Config;
use crate::http::auth_guard::AuthGuard;
use crate::http::connection_token_registry::ConnectionTokenRegistry;
use crate::http::cors::Cors;
use crate::http::hub_endpoint::{self, HubEndpoint};
use crate::http::negotiate::{self, NegotiateEndpoint};
use crate::http::relay::ConnectFn;
use crate::http::{plain_http, port};
use crate::ingest::send_endpoint::{self, SendEndpoint};
use crate::ingest::{PushPipeline, Source};
use crate::net::file_watch::ReloadTrigger;
use crate::net::trusted_roots::RootsWatcher;
use crate::observability::Metrics;
use crate::reactor::{self, ReactorDeps, Reactors};

/// The minimum of `TCP_USER_TIMEOUT`: the time without an acknowledgment after which the kernel closes a connection
/// (`decisions.md` 3). A longer `slow_consumer.write_timeout` extends it on the public port.
const TCP_USER_TIMEOUT: Duration = Duration::from_secs(30);

/// The time after which a starting replica is ready without Redis.
const BACKPLANE_START_TIMEOUT: Duration = Duration::from_secs(30);

/// Why a hub could not start.
#[derive(Debug, thiserror::Error)]
pub enum AppError {
    /// A port cannot be bound.
    #[error("{key}: cannot listen on {address}: {source}")]
    Listen {
        /// The key of the setting.
        key: &'static str,
        /// The address.
        address: String,
        /// The error of the system.
        source: io::Error,
    },
    /// The system provides no thread, poll or signal handler.
    #[error("cannot create a thread, poll or signal handler: {0}")]
    System(#[from] io::Error),
    /// The HTTP client of the identity server cannot be built.
    #[error("auth.authority: {0}")]
    Tls(#[from] reqwest::Error),
    /// Metrics cannot be registered.
    #[error("metrics: {0}")]
    Metrics(#[from] prometheus::Error),
}

/// The bound addresses of a hub.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Addresses {
    /// The public port.
    pub public: SocketAddr,
    /// The internal port. `None` if a queue is the source.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub internal: Option<SocketAddr>,
    /// The admin port.
    pub admin: SocketAddr,
}

/// A hub with bound ports that does not serve yet.
pub struct Server {
    config: Config,
    public: TcpListener,
    admin: TcpListener,
    source: Source,
    /// `None` if all keys come from an identity server.
    keys: Option<KeyWatch>,
    trust: RootsWatcher,
    verifier: Arc<Verifier>,
    connection_tokens: ConnectionTokenRegistry,
}

impl Server {
    /// Binds the ports.
    ///
    /// # Errors
    /// The first port that cannot be bound.
    pub fn bind(config: Config, loaded: Preflight) -> Result<Server, AppError> {
        let Preflight { keys, connection_tokens, queue } = loaded;
        let (keys, initial_keys) = keys.map(|(watch, parsed)| (watch, parsed.keys)).unzip();
        let rules = ValidationRules {
            issuer: config.auth.issuer.clone(),
            audiences: config.auth.audiences.clone(),
            clock_skew: config.auth.clock_skew.as_secs_f64(),
        };
        let verifier = Arc::new(Verifier::new(rules, initial_keys.unwrap_or_default()));
        let trust = RootsWatcher::open(config.backplane.redis.iter().flat_map(|redis| redis.ca_file.clone()).collect());
        let user_timeout = TCP_USER_TIMEOUT.max(config.slow_consumer.write_timeout);
        let public = listen("listen.public", &config.listen.public, user_timeout)?;
        let source = match queue {
            Some(queue) => Source::AzureQueue(Box::new(queue)),
            None => Source::Direct(listen("listen.internal", &config.listen.internal, TCP_USER_TIMEOUT)?),
        };
        let admin = listen("listen.admin", &config.listen.admin, TCP_USER_TIMEOUT)?;
        Ok(Server { config, public, admin, source, keys, trust, verifier, connection_tokens })
    }

    /// Returns the bound addresses.
    ///
    /// # Errors
    /// If the system does not report an address.
    pub fn addresses(&self) -> io::Result<Addresses> {
        Ok(Addresses {
            public: self.public.local_addr()?,
            internal: self.source.address()?,
            admin: self.admin.local_addr()?,
        })
    }

    /// Serves until `stopping` is `true`, then shuts down.
    ///
    /// # Errors
    /// If a thread, poll, signal handler or TLS client cannot be created at the start.
    pub async fn serve(self, stopping: watch::Receiver<bool>) -> Result<(), AppError> {
        let Server { config, public, admin, source, keys, trust, verifier, connection_tokens } = self;
        let metrics = Arc::new(Metrics::new()?);
        let ready = Arc::new(AtomicBool::new(true));
        let backplane_ready = Arc::new(AtomicBool::new(config.backplane.redis.is_none()));
        let (stop_admin, admin_stop) = watch::channel(false);

        let authority = config.auth.authority.as_deref();
        let authority = authority.map(|url| JwksClient::new(url, verifier.clone(), metrics.clone())).transpose()?;
        let authority = authority.map(Arc::new);
        authority.iter().for_each(|authority| _ = tokio::spawn(authority.clone().run()));
        let authenticator = Arc::new(Authenticator { verifier: verifier.clone(), jwks_client: authority });

        let connection_tokens = Arc::new(connection_tokens);
        let fd_budget = FdBudget::from_rlimit();
        let (http_handoff, http_requests) = plain_http::handoff_channel(fd_budget.requests);
        let (presence, presence_events) = config.backplane.redis.as_ref().map(|_| reactor::presence_channel()).unzip();
        let reactors = Arc::new(Reactors::start(
            &config,
            public,
            ReactorDeps {
                authenticator: authenticator.clone(),
                connection_tokens: connection_tokens.clone(),
                metrics: metrics.clone(),
                presence,
            },
            http_handoff,
            fd_budget.sockets,
        )?);
        if let Some(keys) = keys {
            tokio::spawn(keys.run(ReloadTrigger::on_sighup()?, verifier.clone(), metrics.clone()));
        }
        tokio::spawn(trust.run(ReloadTrigger::on_sighup()?));
        let admin_state = Admin {
            reactors: reactors.clone(),
            metrics: metrics.clone(),
            backplane_ready: backplane_ready.clone(),
            ready: ready.clone(),
        };
        let admin_routes = admin::router(admin_state);
        let admin_task = port::serve(admin, admin_routes, fd_budget.admin, shutdown::requested(admin_stop))?;

        let timely = TimelyRuntime::start()?;
        let backplane = match (&config.backplane.redis, presence_events) {
            (Some(redis), Some(presence_events)) => Backplane::Redis(timely.within(|| {
                let (backplane, catch_up, reactors) = (&config.backplane, &config.catch_up, reactors.clone());
                RedisBackplane::start(
                    redis,
                    backplane,
                    catch_up,
                    config.installation,
                    reactors,
                    presence_events,
                    metrics.clone(),
                )
            })),
            _ => Backplane::Local(LocalBackplane::new(reactors.clone())),
        };
        let subscribed = backplane.clone();
        tokio::spawn(async move {
            let _ = timeout(BACKPLANE_START_TIMEOUT, subscribed.wait_subscribed()).await;
            backplane_ready.store(true, Ordering::Relaxed);
        });
        let pipeline = PushPipeline::new(backplane.clone(), metrics.clone());
        let (stop_source, source_stop) = watch::channel(false);
        let (release_turn, turn_release) = watch::channel(false);
        let mut turn_task = None;
        let cors = Cors::new(&config.cors);
        let auth_guard = AuthGuard { authenticator, metrics: metrics.clone() };
        let relay_reactors = reactors.clone();
        let connect_fn: ConnectFn = Arc::new(move |request| relay_reactors.connect(request));
        let endpoint =
            HubEndpoint::new(auth_guard.clone(), connection_tokens.clone(), connect_fn, fd_budget.relays, &config);
        let mut public_routes =
            negotiate::routes(NegotiateEndpoint { auth_guard: auth_guard.clone(), connection_tokens })
                .merge(hub_endpoint::routes(endpoint));
        let source_task = match source {
            Source::Direct(internal) => {
                let send = send_endpoint::routes(SendEndpoint::new(auth_guard, pipeline));
                if config.listen.send_on_public {
                    public_routes = public_routes.merge(send.clone());
                }
                let routes = plain_http::with_common_layers(send, cors.clone(), stopping.clone());
                port::serve(internal, routes, fd_budget.internal, shutdown::requested(source_stop))?
            }
            Source::AzureQueue(mut queue) => {
                let release = shutdown::requested(turn_release);
                turn_task = Some(timely.within(|| tokio::spawn(queue.hold_turn_lease(release))));
                timely.within(|| {
                    tokio::spawn(queue.run(pipeline, metrics.clone(), shutdown::requested(stopping.clone())))
                })
            }
        };
        let http_reactors = reactors.clone();
        let routes = plain_http::router(public_routes, cors, stopping.clone());
        let http_task =
            tokio::spawn(plain_http::serve(routes, http_requests, move |returned| http_reactors.take_back(returned)));

        shutdown::requested(stopping).await;
        let running = RunningHub {
            ready,
            drain: config.drain,
            metrics,
            reactors,
            backplane,
            stop_source,
            source_task,
            release_turn,
            turn_task,
            http_task,
            stop_admin,
            admin_task,
        };
        running.shut_down().await;
        Ok(())
    }
}

/// Binds the port of a setting.
fn listen(key: &'static str, address: &str, user_timeout: Duration) -> Result<TcpListener, AppError> {
    listener::listen(address, user_timeout).map_err(|source| AppError::Listen {
        key,
        address: address.to_owned(),
        source,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Layers;

    #[test]
    fn public_listener_tcp_user_timeout_is_at_least_30s() {
        let key = tempfile::Builder::new().suffix(".secret").tempfile().expect("a file");
        std::fs::write(key.path(), [b'x'; 40]).expect("it is written");
        let key = key.path().display().to_string();
        for (timeout, expected) in [("90s", 90), ("5s", 30)] {
            let any_port = || "127.0.0.1:0".to_owned();
            let flags = [
                ("listen.public", any_port()),
                ("listen.internal", any_port()),
                ("listen.admin", any_port()),
                ("auth.keys", key.clone()),
                ("slow_consumer.write_timeout", timeout.to_owned()),
            ];
            let config = Config::parse(Layers { flags: &flags, ..Layers::default() }).expect("fine");
            let loaded = Preflight::run(&config).expect("a key");
            let hub = Server::bind(config, loaded).expect("a hub");
            let found = socket2::SockRef::from(&hub.public).tcp_user_timeout().expect("a socket");
            assert_eq!(found, Some(Duration::from_secs(expected)), "{timeout}");
        }
    }
}
