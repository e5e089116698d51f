//! Memory of an idle connection: the slope of the server's anonymous memory between 1,000 and 9,000 MessagePack connections of
//! distinct users, each with a device and three organizations, before any push.

use anyhow::Result;

use super::{BenchRun, CONNECTIONS};
use crate::bench::load::Load;
use crate::bench::memory;
use crate::bench::population::Population;
use crate::bench::report::{Budget, Report, Row};
use crate::bench::server::{BenchEnvironment, ServerKind, ServerOptions};

const BUDGET: f64 = 384.0;

/// The smaller number of connections of the slope.
const FROM_CONNECTIONS: usize = 1_000;

/// Adds the row.
pub fn add(run: &BenchRun, report: &mut Report) -> Result<()> {
    report.add(Row {
        key: "idle_bytes_per_connection",
        title: "bytes of user memory, idle connection",
        hub: measure(&run.environment, ServerKind::Hub)?,
        controls: run.controls(|kind| measure(&run.environment, kind))?,
        budget: Some(Budget::AtMost(BUDGET)),
    });
    Ok(())
}

fn measure(environment: &BenchEnvironment, kind: ServerKind) -> Result<f64> {
    let server = environment.start(ServerOptions::new(kind))?;
    let population = Population::new(environment.signer());
    let requests = |index| population.upgrade_request(index, server.public());
    let mut load = Load::new(server.public())?;
    load.grow(FROM_CONNECTIONS, &requests)?;
    let few = memory::settled_bytes(server.id())?;
    load.grow(CONNECTIONS, &requests)?;
    let many = memory::settled_bytes(server.id())?;
    Ok((many as f64 - few as f64) / (CONNECTIONS - FROM_CONNECTIONS) as f64)
}
