//! Instructions of a delivery: one organisation push to every connection, one push at a time. The users are those of the idle
//! measurement; for this they share a fourth organisation, as each of the 900 has some thirty members only.
//!
//! With the machine's counters: what 9,000 deliveries took, divided by 9,000, the median of several pushes. With callgrind: the
//! slope between 200 and 1,200 connections, in which the cost of the push itself falls out.

use anyhow::Result;

use crate::bench::callgrind::Callgrind;
use crate::bench::counters::{Counters, Instructions};
use crate::bench::load::Load;
use crate::bench::population::{self, Population};
use crate::bench::server::{Kind, Server, Site};

/// Connections that the machine's counters look at.
pub const CONNECTIONS: usize = 9_000;
/// Between how many connections callgrind's slope is taken.
pub const FROM: usize = 200;
/// See [`FROM`].
pub const TO: usize = 1_200;

/// What a delivery takes.
pub struct Delivery {
    /// Instructions per delivery.
    pub instructions: Instructions,
    /// Bytes of a delivery on the wire.
    pub bytes: f64,
}

/// One server with its clients, all of which belong to one organisation.
struct Scene {
    server: Server,
    load: Load,
    population: Population,
    push: String,
    pushed: u32,
}

/// Counts with the machine's counters, over `pushes` pushes.
pub fn counted(site: &Site, kind: Kind, pushes: usize) -> Result<Delivery> {
    let mut scene = Scene::new(site, kind, false)?;
    scene.grow(CONNECTIONS)?;
    let mut counters = Counters::attach(scene.server.id())?;
    let mut readings = Vec::with_capacity(pushes);
    for _ in 0..pushes {
        let before = counters.read()?;
        scene.push()?;
        readings.push(counters.read()?.since(before, CONNECTIONS));
    }
    let median = |mut values: Vec<f64>| {
        values.sort_by(f64::total_cmp);
        values[values.len() / 2]
    };
    let totals: Option<Vec<f64>> = readings.iter().map(|reading| reading.total).collect();
    let user = median(readings.iter().map(|reading| reading.user).collect());
    Ok(Delivery {
        instructions: Instructions { user, total: totals.map(median) },
        bytes: scene.load.bytes_per_delivery(),
    })
}

/// Counts with callgrind, over `pushes` pushes at either end of the slope.
pub fn sloped(site: &Site, kind: Kind, pushes: usize) -> Result<Delivery> {
    let mut scene = Scene::new(site, kind, true)?;
    let mut callgrind = Callgrind::attach(scene.server.id(), &site.counts(kind));
    let mut sums = Vec::with_capacity(2);
    for connections in [FROM, TO] {
        scene.grow(connections)?;
        callgrind.begin()?;
        for _ in 0..pushes {
            scene.push()?;
        }
        sums.push(callgrind.end()? as f64);
    }
    let user = (sums[1] - sums[0]) / (pushes * (TO - FROM)) as f64;
    Ok(Delivery { instructions: Instructions { user, total: None }, bytes: scene.load.bytes_per_delivery() })
}

impl Scene {
    fn new(site: &Site, kind: Kind, counted: bool) -> Result<Self> {
        let server = site.start(kind, counted)?;
        let organization = population::uuid(4, 0);
        let push =
            format!(r#"{{"type":18,"payload":{{"organizationId":"{organization}","enabled":true}},"contextId":null}}"#);
        let population = Population::sharing(site.secret(), organization);
        Ok(Self { load: Load::new(server.public())?, server, population, push, pushed: 0 })
    }

    /// Connects more clients and sends one push that is not counted, so that whatever is made once is made.
    fn grow(&mut self, connections: usize) -> Result<()> {
        let (population, public) = (&self.population, self.server.public());
        self.load.grow(connections, &|index| population.request(index, public))?;
        self.load.restart();
        self.pushed = 0;
        self.push()
    }

    /// One push, up to the last client and until the server rests.
    fn push(&mut self) -> Result<()> {
        self.server.push(&self.push)?;
        self.pushed += 1;
        self.load.receive(self.pushed)?;
        self.server.rest()
    }
}
