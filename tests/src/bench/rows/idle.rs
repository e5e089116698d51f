//! Memory of an idle connection: the slope of the server's anonymous memory between 1,000 and 9,000 authenticated MessagePack
//! connections of distinct users, each with a device and three organisations, before any push.

use anyhow::Result;

use super::{CONNECTIONS, Run};
use crate::bench::load::Load;
use crate::bench::memory;
use crate::bench::population::Population;
use crate::bench::report::{Budget, Report, Row};
use crate::bench::server::{Kind, Setup, Site};

const BUDGET: f64 = 384.0;

/// From how many connections on the slope is taken.
const FROM: usize = 1_000;

/// Adds the row.
pub fn add(run: &Run, report: &mut Report) -> Result<()> {
    report.add(Row {
        key: "idle_bytes_per_connection",
        title: "bytes of user memory, idle connection",
        hub: measure(&run.site, Kind::Hub)?,
        controls: run.controls(|kind| measure(&run.site, kind))?,
        budget: Some(Budget::AtMost(BUDGET)),
    });
    Ok(())
}

fn measure(site: &Site, kind: Kind) -> Result<f64> {
    let server = site.start(Setup::of(kind))?;
    let population = Population::new(site.signer());
    let requests = |index| population.request(index, server.public());
    let mut load = Load::new(server.public())?;
    load.grow(FROM, &requests)?;
    let few = memory::settled(server.id())?;
    load.grow(CONNECTIONS, &requests)?;
    let many = memory::settled(server.id())?;
    Ok((many as f64 - few as f64) / (CONNECTIONS - FROM) as f64)
}
