//! The composition root: builds the stages right to left, starts the sources last, and ends them first.

pub mod admin;
pub mod fd_budget;
pub mod preflight;
pub mod shutdown;
pub mod timely_runtime;

use std::io;
use std::net::{SocketAddr, TcpListener, ToSocketAddrs};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use serde::Serialize;
use socket2::{Domain, Protocol, Socket, Type};
use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout, timeout_at};

use self::admin::Admin;
use self::fd_budget::FdBudget;
use self::preflight::Preflight;
use self::timely_runtime::TimelyRuntime;
use crate::auth::claims::ValidationRules;
use crate::auth::keys::jwks_client::JwksClient;
use crate::auth::keys::key_watch::KeyWatch;
use crate::auth::{Authenticator, Verifier};
use crate::backplane::{Backplane, LocalBackplane, RedisBackplane};
use crate::config::Config;
use crate::http::connection_token_registry::ConnectionTokenRegistry;
use crate::http::cors::Cors;
use crate::http::hub_endpoint::{self, HubEndpoint};
use crate::http::negotiate::{self, NegotiateEndpoint};
use crate::http::relay::ConnectFn;
use crate::http::request::AuthGuard;
use crate::http::{plain_http, port};
use crate::ingest::send_endpoint::{self, SendEndpoint};
use crate::ingest::{PushPipeline, Source};
use crate::net::file_watch::ReloadTrigger;
use crate::net::trusted_roots::RootsWatcher;
use crate::observability::{Metrics, ShutdownPhase};
use crate::reactor::{self, ReactorDeps, Reactors};

/// Pending connections that the kernel keeps; it may allow fewer (`net.core.somaxconn`).
const LISTEN_BACKLOG: i32 = 4096;

/// A client that does not acknowledge bytes for so long is gone, unless `slow_consumer.timeout` gives it longer (`decisions.md` 3).
const TCP_USER_TIMEOUT: Duration = Duration::from_secs(30);

/// How long what the source has in hand may take once the hub shuts down.
const SOURCE_DRAIN_TIMEOUT: Duration = Duration::from_secs(5);

/// How long a replica that starts waits for Redis before it is ready all the same.
const BACKPLANE_START_TIMEOUT: Duration = Duration::from_secs(30);

/// Why a hub could not be started, or did not go on.
#[derive(Debug, thiserror::Error)]
pub enum AppError {
    /// A listener.
    #[error("{key}: cannot listen on {address}: {source}")]
    Listen {
        /// The setting.
        key: &'static str,
        /// Its value.
        address: String,
        /// What the system says.
        source: io::Error,
    },
    /// The system gave no thread, poll or signal.
    #[error("the system refused what a hub needs: {0}")]
    System(#[from] io::Error),
    /// There is no TLS.
    #[error("auth.authority: {0}")]
    Tls(#[from] reqwest::Error),
    /// The metrics contradict each other.
    #[error("metrics: {0}")]
    Metrics(#[from] prometheus::Error),
}

/// The addresses on which a hub listens.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Addresses {
    /// For clients.
    pub public: SocketAddr,
    /// For senders, if they are the source.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub internal: Option<SocketAddr>,
    /// For probes and metrics.
    pub admin: SocketAddr,
}

/// A hub that listens but does not serve yet.
pub struct Server {
    config: Config,
    public: TcpListener,
    admin: TcpListener,
    source: Source,
    /// Nothing if all keys come from an identity server.
    keys: Option<KeyWatch>,
    trust: RootsWatcher,
    verifier: Arc<Verifier>,
    connection_tokens: ConnectionTokenRegistry,
}

impl Server {
    /// Binds the ports, for a configuration and what was loaded for it.
    ///
    /// # Errors
    /// The first port that can't be had.
    pub fn bind(config: Config, loaded: Preflight) -> Result<Server, AppError> {
        let Preflight { keys, connection_tokens, queue } = loaded;
        let (keys, loaded) = keys.map(|(watch, parsed)| (watch, parsed.keys)).unzip();
        let rules = ValidationRules {
            issuer: config.auth.issuer.clone(),
            audiences: config.auth.audiences.clone(),
            clock_skew: config.auth.clock_skew.as_secs_f64(),
        };
        let verifier = Arc::new(Verifier::new(rules, loaded.unwrap_or_default()));
        let trust = RootsWatcher::open(config.backplane.redis.iter().flat_map(|redis| redis.ca_file.clone()).collect());
        let user_timeout = TCP_USER_TIMEOUT.max(config.slow_consumer.timeout);
        let public = listen("listen.public", &config.listen.public, user_timeout)?;
        let source = match queue {
            Some(queue) => Source::AzureQueue(Box::new(queue)),
            None => Source::Direct(listen("listen.internal", &config.listen.internal, TCP_USER_TIMEOUT)?),
        };
        let admin = listen("listen.admin", &config.listen.admin, TCP_USER_TIMEOUT)?;
        Ok(Server { config, public, admin, source, keys, trust, verifier, connection_tokens })
    }

    /// The addresses that it listens on.
    ///
    /// # Errors
    /// If the system does not tell.
    pub fn addresses(&self) -> io::Result<Addresses> {
        Ok(Addresses {
            public: self.public.local_addr()?,
            internal: self.source.address()?,
            admin: self.admin.local_addr()?,
        })
    }

    /// Serves until `stopping` turns true and everybody has been let go of.
    ///
    /// # Errors
    /// If the system refuses what it needs to begin.
    pub async fn serve(self, stopping: watch::Receiver<bool>) -> Result<(), AppError> {
        let Server { config, public, admin, source, keys, trust, verifier, connection_tokens } = self;
        let metrics = Arc::new(Metrics::new()?);
        let ready = Arc::new(AtomicBool::new(true));
        let backplane_ready = Arc::new(AtomicBool::new(config.backplane.redis.is_none()));
        let (over, is_over) = watch::channel(false);

        let authority = config.auth.authority.as_deref();
        let authority = authority.map(|url| JwksClient::new(url, verifier.clone(), metrics.clone())).transpose()?;
        let authority = authority.map(Arc::new);
        authority.iter().for_each(|authority| _ = tokio::spawn(authority.clone().run()));
        let authenticator = Arc::new(Authenticator { verifier: verifier.clone(), jwks_client: authority });

        let connection_tokens = Arc::new(connection_tokens);
        let fd_budget = FdBudget::from_rlimit();
        let (to_axum, plain) = plain_http::handoff_channel(fd_budget.requests);
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
            to_axum,
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
        let admin = port::serve(admin, admin_routes, fd_budget.admin, shutdown::requested(is_over.clone()))?;

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
        let (end_sources, sources_end) = watch::channel(false);
        let (let_go, all_let_go) = watch::channel(false);
        let mut turns = None;
        let cors = Cors::new(&config.cors);
        let auth_guard = AuthGuard { authenticator, metrics: metrics.clone() };
        let to_reactors = reactors.clone();
        let connect_fn: ConnectFn = Arc::new(move |request| to_reactors.connect(request));
        let endpoint =
            HubEndpoint::new(auth_guard.clone(), connection_tokens.clone(), connect_fn, fd_budget.relays, &config);
        let mut on_public = negotiate::routes(NegotiateEndpoint { auth_guard: auth_guard.clone(), connection_tokens })
            .merge(hub_endpoint::routes(endpoint));
        let mut source = match source {
            Source::Direct(internal) => {
                let send = send_endpoint::routes(SendEndpoint::new(auth_guard, pipeline));
                if config.listen.send_on_public {
                    on_public = on_public.merge(send.clone());
                }
                let routes = plain_http::with_common_layers(send, cors.clone(), stopping.clone());
                port::serve(internal, routes, fd_budget.internal, shutdown::requested(sources_end))?
            }
            Source::AzureQueue(mut queue) => {
                turns = Some(timely.within(|| tokio::spawn(queue.take_turns(shutdown::requested(all_let_go)))));
                timely.within(|| {
                    tokio::spawn(queue.run(pipeline, metrics.clone(), shutdown::requested(stopping.clone())))
                })
            }
        };
        let http_reactors = reactors.clone();
        let routes = plain_http::router(on_public, cors, stopping.clone());
        let plain = tokio::spawn(plain_http::serve(routes, plain, move |returned| http_reactors.take_back(returned)));

        shutdown::requested(stopping).await;
        tracing::info!(grace = ?config.drain.grace, "shutting down");
        ready.store(false, Ordering::Relaxed);
        metrics.set_shutdown_phase(Some(ShutdownPhase::Grace));
        sleep(config.drain.grace).await;
        let deadline = Instant::now() + config.drain.deadline;
        metrics.set_shutdown_phase(Some(ShutdownPhase::Sources));
        end_sources.send_replace(true);
        if timeout_at(deadline.min(Instant::now() + SOURCE_DRAIN_TIMEOUT), &mut source).await.is_err() {
            tracing::warn!("the source takes its time: clients are let go of meanwhile");
        }
        shutdown::drain(&reactors, config.drain.duration, deadline, &metrics).await;
        // Who receives from the queue next has all clients.
        let_go.send_replace(true);
        if let Some(turns) = turns {
            let _ = timeout(SOURCE_DRAIN_TIMEOUT, turns).await;
        }
        // What the clients without a WebSocket were told has to reach them.
        let _ = timeout(SOURCE_DRAIN_TIMEOUT, plain).await;
        shutdown::flush_backplane(&source, &backplane, deadline, &metrics).await;
        over.send_replace(true);
        // The admin port answers to the last; whether it ends in good order does not matter.
        let _ = timeout(SOURCE_DRAIN_TIMEOUT, admin).await;
        Ok(())
    }
}

/// Binds one port. The options are inherited by the connections that it accepts: a client may acknowledge nothing for `user_timeout`.
fn listen(key: &'static str, address: &str, user_timeout: Duration) -> Result<TcpListener, AppError> {
    let failed = |source| AppError::Listen { key, address: address.to_owned(), source };
    let mut resolved = address.to_socket_addrs().map_err(failed)?;
    let resolved = resolved.next().ok_or_else(|| failed(io::ErrorKind::NotFound.into()))?;
    bind(resolved, user_timeout).map_err(failed)
}

fn bind(address: SocketAddr, user_timeout: Duration) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    socket.set_tcp_nodelay(true)?;
    socket.set_tcp_user_timeout(Some(user_timeout))?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(LISTEN_BACKLOG)?;
    Ok(socket.into())
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
            let any = || "127.0.0.1:0".to_owned();
            let flags = [
                ("listen.public", any()),
                ("listen.internal", any()),
                ("listen.admin", any()),
                ("auth.keys", key.clone()),
                ("slow_consumer.timeout", timeout.to_owned()),
            ];
            let config = Config::parse(Layers { flags: &flags, ..Layers::default() }).expect("fine");
            let loaded = Preflight::run(&config).expect("a key");
            let hub = Server::bind(config, loaded).expect("a hub");
            let found = socket2::SockRef::from(&hub.public).tcp_user_timeout().expect("a socket");
            assert_eq!(found, Some(Duration::from_secs(expected)), "{timeout}");
        }
    }
}
