//! Starts the parts of the process and stops them in reverse order: listener, election, controllers, signals.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use futures_util::future::Either;
use kube::Client;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::sleep;

use crate::admin::{self, Admin};
use crate::cluster::with_timeout;
use crate::config::Config;
use crate::context::Context;
use crate::leader::{Election, ElectionOutcome, ElectionTiming, Leadership, LeaseStore};
use crate::telemetry::metrics::Metrics;
use crate::{controller, crd_skew, signals};

/// Why the process ended without being asked to.
#[derive(Debug, thiserror::Error)]
pub enum AppError {
    /// No client for the API server can be created.
    #[error("cannot connect to the Kubernetes API server: {0}")]
    Client(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The address of `--metrics-address` cannot be had.
    #[error("--metrics-address {address}: {source}")]
    Listen {
        /// Which one.
        address: std::net::SocketAddr,
        /// Why not.
        source: std::io::Error,
    },
    /// Signals cannot be received.
    #[error("signals: {0}")]
    Signals(#[source] std::io::Error),
    /// A metric's name is taken.
    #[error("metrics: {0}")]
    Metrics(#[from] prometheus::Error),
    /// Another process may lead by now: whatever this one still did might be wrong.
    #[error("the lease was lost")]
    LeaseLost,
}

/// Runs until a signal, or until the lease is lost.
pub async fn run(config: Config) -> Result<(), AppError> {
    let stop = signals::stop().map_err(AppError::Signals)?;
    let metrics = Arc::new(Metrics::new()?);
    let ready = Arc::new(AtomicBool::new(false));

    let address = config.metrics_address;
    let listener = TcpListener::bind(address).await.map_err(|source| AppError::Listen { address, source })?;
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
    let Some((election, end_election)) = election else {
        metrics.set_leader(true);
        work.await;
        return Ok(());
    };
    let (work, mut election) = (std::pin::pin!(work), election);
    tokio::select! {
        () = work => {}
        _ = &mut election => return Err(AppError::LeaseLost),
    }
    // Only now, when nothing is being written any more, may another process begin.
    end_election.send_replace(true);
    match election.await {
        Ok(ElectionOutcome::Released) => Ok(()),
        Ok(ElectionOutcome::Lost) | Err(_) => Err(AppError::LeaseLost),
    }
}

/// Runs the controllers from the time this process leads until it is asked to stop.
async fn run_controllers(
    client: Client,
    namespaces: &[String],
    context: Arc<Context>,
    leadership: Leadership,
    mut stop: watch::Receiver<bool>,
) {
    let asked = stop.clone();
    let gained = std::pin::pin!(leadership.wait_until_leader());
    let asked_first = std::pin::pin!(stop.wait_for(|stop| *stop));
    if let Either::Right(_) = futures_util::future::select(gained, asked_first).await {
        return;
    }
    context.metrics.set_leader(true);
    tokio::spawn({
        let context = context.clone();
        async move { crd_skew::report(&context).await }
    });
    controller::run(client, namespaces, context, asked).await;
    tracing::info!("every pass is over");
}

type RunningElection = (JoinHandle<ElectionOutcome>, watch::Sender<bool>);

fn start_election(client: &Client, config: &Config, identity: &str) -> (Leadership, Option<RunningElection>) {
    let Some(name) = &config.lease_name else { return (Leadership::NoElection, None) };
    let namespace = config.lease_namespace.clone().unwrap_or_else(|| client.default_namespace().to_owned());
    let (election, leadership) =
        Election::new(LeaseStore::new(client.clone(), &namespace, name, identity, ElectionTiming::default()));
    let (end, ended) = watch::channel(false);
    (leadership, Some((tokio::spawn(election.run(ended)), end)))
}

/// Another name at every start: a process that was started anew is not the one that had the lease.
fn identity() -> String {
    let host = std::env::var("HOSTNAME").ok().filter(|host| !host.is_empty()).unwrap_or_else(|| "operator".to_owned());
    let mut random = [0; 4];
    // Should random numbers fail, the process id has to do.
    if aws_lc_rs::rand::fill(&mut random).is_err() {
        random = std::process::id().to_be_bytes();
    }
    format!("{host}-{:08x}", u32::from_be_bytes(random))
}

/// Ready once the API server has answered.
async fn watch_readiness(client: Client, ready: Arc<AtomicBool>) {
    while let Err(error) = with_timeout(client.apiserver_version()).await {
        tracing::warn!(%error, "the API server does not answer");
        sleep(Duration::from_secs(2)).await;
    }
    ready.store(true, std::sync::atomic::Ordering::Relaxed);
}
