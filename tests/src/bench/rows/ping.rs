//! User instructions of a pair of pings: one from the server, and the client's answer. The figure is the slope between 200 and
//! 1,200 connections over the same time, without the cost of the turns. The server pings every second instead of every 15, so
//! that there are enough pings.

use std::time::Duration;

use anyhow::{Result, ensure};

use super::BenchRun;
use super::delivery::{FROM_CONNECTIONS, TO_CONNECTIONS};
use crate::bench::load::{ClientBehavior, Load};
use crate::bench::meter::CounterKind;
use crate::bench::population::Population;
use crate::bench::report::{Budget, Report, Row};
use crate::bench::server::{BenchEnvironment, ServerKind, ServerOptions};

const BUDGET: f64 = 600.0;
const PING_INTERVAL: Duration = Duration::from_secs(1);
const TITLE: &str = "user instructions of a pair of pings";

/// Adds the row.
pub fn add(run: &BenchRun, report: &mut Report) -> Result<()> {
    let Some(counter_kind) = run.counter_kind else { return Ok(()) };
    let duration = PING_INTERVAL * run.choose(2, 5);
    let key = "ping_pair_user_instructions";
    let (hub, profile) = measure(&run.environment, counter_kind, ServerKind::Hub, duration)?;
    let (control, _) = measure(&run.environment, counter_kind, ServerKind::Bare, duration)?;
    if let Some(profile) = profile {
        report.add_profile(key, profile);
    }
    let controls = vec![(ServerKind::Bare, control)];
    report.add(Row { key, title: TITLE, hub, controls, budget: Some(Budget::AtMost(BUDGET)) });
    Ok(())
}

fn measure(
    environment: &BenchEnvironment,
    counter_kind: CounterKind,
    kind: ServerKind,
    duration: Duration,
) -> Result<(f64, Option<String>)> {
    let server = counter_kind.start(environment, ServerOptions::new(kind).with_ping_interval(PING_INTERVAL))?;
    let population = Population::new(environment.signer());
    let mut load =
        Load::with_behavior(server.public(), ClientBehavior { answers_pings: true, ..ClientBehavior::default() })?;
    let mut meter = counter_kind.meter(&server)?;
    let mut readings = Vec::with_capacity(2);
    let mut profile = None;
    for connections in [FROM_CONNECTIONS, TO_CONNECTIONS] {
        load.grow(connections, &|index| population.upgrade_request(index, server.public()))?;
        // The first interval is not counted.
        load.run(PING_INTERVAL)?;
        load.reset_counts();
        meter.begin()?;
        load.run(duration)?;
        let (count, pings) = (meter.end()?, load.counts().pings as f64);
        profile = count.table(&format!("{TITLE} ({TO_CONNECTIONS} clients, with the loop's turns)"), pings.max(1.0));
        readings.push((count.instructions.user, pings));
    }
    let (instructions, pings) = (readings[1].0 - readings[0].0, readings[1].1 - readings[0].1);
    ensure!(pings > 0.0, "more clients got fewer pings");
    Ok((instructions / pings, profile))
}
