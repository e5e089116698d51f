//! Processor time of an idle connection, with pings both ways. A whole run has pings every 15 s, as in life; a short one has
//! them ten times as often and takes a tenth, which leaves out what a turn of the loop costs without a ping.

use std::time::Duration;

use anyhow::Result;

use super::{CONNECTIONS, Run};
use crate::bench::load::{Load, Manner};
use crate::bench::population::Population;
use crate::bench::report::{Budget, Report, Row};
use crate::bench::server::{Kind, Setup, Site};

const BUDGET: f64 = 0.6;

/// How often there are pings in life.
const EVERY: Duration = Duration::from_secs(15);

/// How many rounds of pings are looked at.
const ROUNDS: u32 = 3;

/// Adds the row.
pub fn add(run: &Run, report: &mut Report) -> Result<()> {
    let faster = run.choose(10, 1);
    let measure = |kind| measure(&run.site, kind, EVERY / faster).map(|figure| figure / f64::from(faster));
    report.note("idle_cpu_clock_factor", f64::from(faster));
    report.add(Row {
        key: "idle_cpu_us_per_second",
        title: "us of CPU a second, idle with pings",
        hub: measure(Kind::Hub)?,
        controls: vec![(Kind::Bare, measure(Kind::Bare)?)],
        budget: Some(Budget::AtMost(BUDGET)),
    });
    Ok(())
}

/// Microseconds a second and connection.
fn measure(site: &Site, kind: Kind, every: Duration) -> Result<f64> {
    let server = site.start(Setup::of(kind).pinging(every))?;
    let population = Population::new(site.signer());
    let mut load = Load::with(server.public(), Manner { pings: true, ..Manner::default() })?;
    load.grow(CONNECTIONS, &|index| population.request(index, server.public()))?;
    load.run(Duration::from_secs(1))?;
    let before = server.processor_time()?;
    load.run(every * ROUNDS)?;
    let microseconds = (server.processor_time()? - before) as f64 / 1e3;
    Ok(microseconds / (every * ROUNDS).as_secs_f64() / CONNECTIONS as f64)
}
