//! Starts the parts of `run` (listener, election, controllers) and stops them in reverse order.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use futures_util::future::Either;
use kube::Client;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::sleep;

use crate::admin::{self, Admin};
use crate::cluster::with_timeout;
use crate::config::Config;
use crate::context::Context;
use crate::leader::{Election, ElectionOutcome, ElectionTiming, Leadership, LeaseStore};
use crate::telemetry::metrics::Metrics;
use crate::{controller, crd_skew, listener, signals};

/// Error that ends the process.
#[derive(Debug, thiserror::Error)]
pub enum AppError {
    /// The client of the API server cannot be created.
    #[error("cannot connect to the Kubernetes API server: {0}")]
    Client(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The listener cannot be bound to `--metrics-address`.
    #[error("--metrics-address {address}: cannot listen: {source}")]
    Listen {
        /// The address.
        address: std::net::SocketAddr,
        /// The error of the operating system.
        source: std::io::Error,
    },
    /// The signal handlers cannot be installed.
    #[error("cannot install signal handlers: {0}")]
    Signals(#[source] std::io::Error),
    /// The metrics cannot be registered.
    #[error("cannot register metrics: {0}")]
    Metrics(#[from] prometheus::Error),
    /// Another process may lead, so this one must not write.
    #[error("lease lost")]
    LeaseLost,
}

/// Runs until SIGTERM or SIGINT, or until the lease is lost.
pub async fn run(config: Config) -> Result<(), AppError> {
    let stop = signals::stop().map_err(AppError::Signals)?;
    let metrics = Arc::new(Metrics::new()?);
    let ready = Arc::new(AtomicBool::new(false));

    let address = config.metrics_address;
    let listener = listener::listen(address).map_err(|source| AppError::Listen { address, source })?;
    tracing::info!(
        version = env!("CARGO_PKG_VERSION"),
        namespaces = config.namespaces.join(","),
        lease = config.lease_name,
        admin = %listener.local_addr().unwrap_or(address),
        hub_image = %config.defaults.image,
        "starting"
    );
    tokio::spawn(admin::serve(listener, Admin { ready: ready.clone(), metrics: metrics.clone() }));

    let client = Client::try_default().await.map_err(|error| AppError::Client(error.into()))?;
    tokio::spawn(watch_readiness(client.clone(), ready));
    let identity = identity();
    let (leadership, election) = start_election(&client, &config, &identity);
    let context = Context::new(client.clone(), leadership.clone(), identity, metrics.clone(), config.defaults)
        .with_max_concurrent_rollouts(config.max_concurrent_rollouts.get());

    let work = run_controllers(client, &config.namespaces, Arc::new(context), leadership, stop.clone());
    let Some((election, stop_election)) = election else {
        metrics.set_leader(true);
        work.await;
        return Ok(());
    };
    let (work, mut election) = (std::pin::pin!(work), election);
    tokio::select! {
        () = work => {}
        _ = &mut election => return Err(AppError::LeaseLost),
    }
    // Every reconcile has finished, so another process may lead.
    stop_election.send_replace(true);
    match election.await {
        Ok(ElectionOutcome::Released) => Ok(()),
        Ok(ElectionOutcome::Lost) | Err(_) => Err(AppError::LeaseLost),
    }
}

/// Waits until this process leads, then runs the controllers until `stop` is true.
async fn run_controllers(
    client: Client,
    namespaces: &[String],
    context: Arc<Context>,
    leadership: Leadership,
    mut stop: watch::Receiver<bool>,
) {
    let controllers_stop = stop.clone();
    let elected = std::pin::pin!(leadership.wait_until_leader());
    let stopped = std::pin::pin!(stop.wait_for(|stop| *stop));
    if let Either::Right(_) = futures_util::future::select(elected, stopped).await {
        return;
    }
    context.metrics.set_leader(true);
    tokio::spawn({
        let context = context.clone();
        async move { crd_skew::report(&context).await }
    });
    controller::run(client, namespaces, context, controllers_stop).await;
    tracing::info!("all reconciles finished");
}

/// Task of the election, and the sender that stops it.
type RunningElection = (JoinHandle<ElectionOutcome>, watch::Sender<bool>);

/// Starts the election, unless leader election is off.
fn start_election(client: &Client, config: &Config, identity: &str) -> (Leadership, Option<RunningElection>) {
    let Some(name) = &config.lease_name else { return (Leadership::NoElection, None) };
    let namespace = config.lease_namespace.clone().unwrap_or_else(|| client.default_namespace().to_owned());
    let (election, leadership) =
        Election::new(LeaseStore::new(client.clone(), &namespace, name, identity, ElectionTiming::default()));
    let (stop, stopped) = watch::channel(false);
    (leadership, Some((tokio::spawn(election.run(stopped)), stop)))
}

/// Returns an identity that is new at each start, so that a restarted process does not renew the lease of its predecessor.
fn identity() -> String {
    let host = std::env::var("HOSTNAME").ok().filter(|host| !host.is_empty()).unwrap_or_else(|| "operator".to_owned());
    let mut random = [0; 4];
    // Without random numbers, the process ID is unique enough.
    if aws_lc_rs::rand::fill(&mut random).is_err() {
        random = std::process::id().to_be_bytes();
    }
    format!("{host}-{:08x}", u32::from_be_bytes(random))
}

/// Sets `ready` once the API server has answered.
async fn watch_readiness(client: Client, ready: Arc<AtomicBool>) {
    while let Err(error) = with_timeout(client.apiserver_version()).await {
        tracing::warn!(%error, "API server not reachable");
        sleep(Duration::from_secs(2)).await;
    }
    ready.store(true, std::sync::atomic::Ordering::Relaxed);
}
