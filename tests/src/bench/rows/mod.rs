//! The measurements, one in each file. Each adds its rows to the report, or nothing if this machine cannot measure them.

pub mod backlog;
pub mod churn;
pub mod connect;
pub mod delivery;
pub mod idle;
pub mod idle_time;
pub mod latency;
pub mod ping;
pub mod rate;
pub mod scale_out;
pub mod slow_consumers;
pub mod slow_handshakes;
pub mod storm;
pub mod verification;

use anyhow::Result;

use super::load::ClientBehavior;
use super::loaded_server::LoadedServer;
use super::meter::CounterKind;
use super::server::{BenchEnvironment, ServerKind, ServerOptions};

/// The default number of connections.
pub const CONNECTIONS: usize = 9_000;

/// The state that all measurements of a run share.
pub struct BenchRun {
    /// Starts servers.
    pub environment: BenchEnvironment,
    /// Whether the run is quick (`BENCH_QUICK=1`).
    pub quick: bool,
    /// The way to count instructions, or `None` if this machine has none.
    pub counter_kind: Option<CounterKind>,
}

impl BenchRun {
    /// Returns the first value in a quick run, else the second.
    pub fn choose<T>(&self, quick: T, whole: T) -> T {
        if self.quick { quick } else { whole }
    }

    /// Starts a server with 9,000 clients and sends one push that is not counted.
    pub fn loaded_server(&self, options: ServerOptions) -> Result<LoadedServer> {
        let mut loaded =
            LoadedServer::new(&self.environment, self.environment.start(options)?, ClientBehavior::default())?;
        loaded.grow(CONNECTIONS)?;
        loaded.warm_up()?;
        Ok(loaded)
    }

    /// Measures the controls. A quick run has only the bare epoll loop.
    pub fn controls(&self, measure: impl Fn(ServerKind) -> Result<f64>) -> Result<Vec<(ServerKind, f64)>> {
        let kinds = self.choose(&ServerKind::CONTROLS[..1], &ServerKind::CONTROLS[..]);
        kinds.iter().map(|kind| Ok((*kind, measure(*kind)?))).collect()
    }
}
