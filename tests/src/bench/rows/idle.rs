//! Memory of an idle connection: the slope of the server's anonymous memory between 1,000 and 9,000 authenticated MessagePack
//! connections of distinct users, each with a device and three organisations, before any push.

use anyhow::Result;

use crate::bench::load::Load;
use crate::bench::memory;
use crate::bench::population::Population;
use crate::bench::server::{Kind, Site};

/// Between how many connections the slope is taken.
pub const FROM: usize = 1_000;
/// See [`FROM`].
pub const TO: usize = 9_000;

/// Bytes of user memory per idle connection.
pub fn measure(site: &Site, kind: Kind) -> Result<f64> {
    let server = site.start(kind, false)?;
    let population = Population::new(site.secret());
    let requests = |index| population.request(index, server.public());
    let mut load = Load::new(server.public())?;
    load.grow(FROM, &requests)?;
    let few = memory::settled(server.id())?;
    load.grow(TO, &requests)?;
    let many = memory::settled(server.id())?;
    Ok((many as f64 - few as f64) / (TO - FROM) as f64)
}
