//! CPU time of an idle connection with pings in both directions. A full run has pings every 15 s, the default. A quick run has
//! them ten times as often and divides by ten, which omits the cost of turns without a ping.

use std::time::Duration;

use anyhow::Result;

use super::{BenchRun, CONNECTIONS};
use crate::bench::load::{ClientBehavior, Load};
use crate::bench::population::Population;
use crate::bench::report::{Budget, Report, Row};
use crate::bench::server::{BenchEnvironment, ServerKind, ServerOptions};

const BUDGET: f64 = 0.6;

/// The default ping interval.
const PING_INTERVAL: Duration = Duration::from_secs(15);

/// The number of ping intervals of the measurement.
const ROUNDS: u32 = 3;

/// Adds the row.
pub fn add(run: &BenchRun, report: &mut Report) -> Result<()> {
    let faster = run.choose(10, 1);
    let measure =
        |kind| measure(&run.environment, kind, PING_INTERVAL / faster).map(|figure| figure / f64::from(faster));
    report.note("idle_cpu_clock_factor", f64::from(faster));
    report.add(Row {
        key: "idle_cpu_us_per_second",
        title: "us of CPU a second, idle with pings",
        hub: measure(ServerKind::Hub)?,
        controls: vec![(ServerKind::Bare, measure(ServerKind::Bare)?)],
        budget: Some(Budget::AtMost(BUDGET)),
    });
    Ok(())
}

/// Returns the CPU time of a connection in microseconds per second.
fn measure(environment: &BenchEnvironment, kind: ServerKind, interval: Duration) -> Result<f64> {
    let server = environment.start(ServerOptions::new(kind).with_ping_interval(interval))?;
    let population = Population::new(environment.signer());
    let mut load =
        Load::with_behavior(server.public(), ClientBehavior { answers_pings: true, ..ClientBehavior::default() })?;
    load.grow(CONNECTIONS, &|index| population.upgrade_request(index, server.public()))?;
    load.run(Duration::from_secs(1))?;
    let before = server.cpu_time_ns()?;
    load.run(interval * ROUNDS)?;
    let microseconds = (server.cpu_time_ns()? - before) as f64 / 1e3;
    Ok(microseconds / (interval * ROUNDS).as_secs_f64() / CONNECTIONS as f64)
}
