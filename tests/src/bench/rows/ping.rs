//! User instructions of a pair of pings, one in from the client and one out by the server: each client answers the server's
//! ping with its own. The slope between 200 and 1,200 connections over the same time, in which the loop's own turns fall out.
//! The server pings every second instead of every fifteen, so that there is something to count.

use std::time::Duration;

use anyhow::{Result, ensure};

use super::Run;
use super::delivery::{FROM, TO};
use crate::bench::load::{Load, Manner};
use crate::bench::meter::Means;
use crate::bench::population::Population;
use crate::bench::report::{Budget, Report, Row};
use crate::bench::server::{Kind, Setup, Site};

const BUDGET: f64 = 600.0;
const EVERY: Duration = Duration::from_secs(1);
const TITLE: &str = "user instructions of a pair of pings";

/// Adds the row.
pub fn add(run: &Run, report: &mut Report) -> Result<()> {
    let Some(means) = run.means else { return Ok(()) };
    let duration = EVERY * run.choose(2, 5);
    let key = "ping_pair_user_instructions";
    let (hub, profile) = measure(&run.site, means, Kind::Hub, duration)?;
    let (control, _) = measure(&run.site, means, Kind::Bare, duration)?;
    if let Some(profile) = profile {
        report.profile(key, profile);
    }
    let controls = vec![(Kind::Bare, control)];
    report.add(Row { key, title: TITLE, hub, controls, budget: Some(Budget::AtMost(BUDGET)) });
    Ok(())
}

fn measure(site: &Site, means: Means, kind: Kind, duration: Duration) -> Result<(f64, Option<String>)> {
    let server = means.start(site, Setup::of(kind).pinging(EVERY))?;
    let population = Population::new(site.signer());
    let mut load = Load::with(server.public(), Manner { pings: true, ..Manner::default() })?;
    let mut meter = means.meter(&server)?;
    let mut readings = Vec::with_capacity(2);
    let mut profile = None;
    for connections in [FROM, TO] {
        load.grow(connections, &|index| population.request(index, server.public()))?;
        // One round that is not counted.
        load.run(EVERY)?;
        load.restart();
        meter.begin()?;
        load.run(duration)?;
        let (count, pings) = (meter.end()?, load.counts().pings as f64);
        profile = count.table(&format!("{TITLE} ({TO} clients, with the loop's turns)"), pings.max(1.0));
        readings.push((count.instructions.user, pings));
    }
    let (instructions, pings) = (readings[1].0 - readings[0].0, readings[1].1 - readings[0].1);
    ensure!(pings > 0.0, "more clients got fewer pings");
    Ok((instructions / pings, profile))
}
