//! One measurement a file. Each adds its rows to the report; what cannot be measured on this machine adds nothing.

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

use super::load::Manner;
use super::meter::Means;
use super::scene::Scene;
use super::server::{Kind, Setup, Site};

/// Connections of a measurement, unless it says otherwise.
pub const CONNECTIONS: usize = 9_000;

/// What all measurements of a run share.
pub struct Run {
    /// Where servers are started.
    pub site: Site,
    /// Whether the run has to be short.
    pub quick: bool,
    /// What counts instructions.
    pub means: Option<Means>,
}

impl Run {
    /// One value in a short run, another in a whole one.
    pub fn choose<T>(&self, quick: T, whole: T) -> T {
        if self.quick { quick } else { whole }
    }

    /// A server with all its clients, to whom one push was sent that is not counted.
    pub fn full(&self, setup: Setup) -> Result<Scene> {
        let mut scene = Scene::new(&self.site, self.site.start(setup)?, Manner::default())?;
        scene.grow(CONNECTIONS)?;
        scene.warm_up()?;
        Ok(scene)
    }

    /// The figures of the controls; a short run has the bare epoll loop only.
    pub fn controls(&self, measure: impl Fn(Kind) -> Result<f64>) -> Result<Vec<(Kind, f64)>> {
        let kinds = self.choose(&Kind::CONTROLS[..1], &Kind::CONTROLS[..]);
        kinds.iter().map(|kind| Ok((*kind, measure(*kind)?))).collect()
    }
}
