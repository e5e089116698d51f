//! Instructions of a delivery: one organisation push to every connection, one push at a time. The users are those of the idle
//! measurement; for this they share a fourth organisation, as each of the 900 has some thirty members only.
//!
//! With the machine's counters: what 9,000 deliveries took, divided by 9,000, the median of several pushes. With callgrind: the
//! slope between 200 and 1,200 connections, in which the cost of the push itself falls out.

use anyhow::{Context, Result};

use super::{CONNECTIONS, Run};
use crate::bench::counters::Instructions;
use crate::bench::load::Manner;
use crate::bench::meter::Means;
use crate::bench::report::{Budget, Report, Row};
use crate::bench::scene::Scene;
use crate::bench::server::{Kind, Setup, Site};
use crate::bench::statistics::median;

const BUDGET: f64 = 100.0;

/// Between how many connections callgrind's slope is taken.
pub const FROM: usize = 200;
/// See [`FROM`].
pub const TO: usize = 1_200;

/// How many pushes callgrind counts together.
pub const PUSHES: usize = 3;

/// What a delivery takes.
struct Delivery {
    instructions: Instructions,
    /// Bytes of a delivery on the wire.
    bytes: f64,
    profile: Option<String>,
}

const TITLE: &str = "user instructions of a delivery";

/// Adds the rows.
pub fn add(run: &Run, report: &mut Report) -> Result<()> {
    let Some(means) = run.means else { return Ok(()) };
    let times = match means {
        Means::Hardware => run.choose(3, 15),
        Means::Callgrind => run.choose(2, 3),
    };
    let measure = |setup| match means {
        Means::Hardware => counted(&run.site, setup, times),
        Means::Callgrind => sloped(&run.site, setup, times),
    };
    let hub = measure(Setup::of(Kind::Hub).quiet())?;
    let mut totals = Vec::new();
    let mut controls = Vec::new();
    for (kind, _) in run.controls(|_| Ok(0.0))? {
        let control = measure(Setup::of(kind).pushing(hub.bytes))?.instructions;
        controls.push((kind, control.user));
        totals.extend(control.total.map(|total| (kind, total)));
    }
    let key = "delivery_user_instructions";
    if let Some(profile) = hub.profile {
        report.profile(key, profile);
    }
    let budget = Some(Budget::AtMost(BUDGET));
    report.add(Row { key, title: TITLE, hub: hub.instructions.user, controls, budget });
    if let Some(hub) = hub.instructions.total {
        let (key, title) = ("delivery_instructions", "instructions of a delivery, kernel too");
        report.add(Row { key, title, hub, controls: totals, budget: None });
    }
    Ok(())
}

/// Counts with the machine's counters, over so many pushes.
fn counted(site: &Site, setup: Setup, pushes: usize) -> Result<Delivery> {
    let server = Means::Hardware.start(site, setup)?;
    let mut scene = Scene::new(site, server, Manner::default())?;
    scene.grow(CONNECTIONS)?;
    scene.warm_up()?;
    let mut meter = Means::Hardware.meter(&scene.server)?;
    let mut readings = Vec::with_capacity(pushes);
    for _ in 0..pushes {
        meter.begin()?;
        scene.push()?;
        readings.push(meter.end()?.instructions);
    }
    let each = CONNECTIONS as f64;
    let user = median(readings.iter().map(|reading| reading.user / each).collect()).context("no push")?;
    let totals: Option<Vec<f64>> = readings.iter().map(|reading| reading.total.map(|total| total / each)).collect();
    let total = totals.and_then(median);
    Ok(Delivery { instructions: Instructions { user, total }, bytes: scene.load.bytes_per_delivery(), profile: None })
}

/// Counts with callgrind, so many times at either end of the slope.
fn sloped(site: &Site, setup: Setup, times: usize) -> Result<Delivery> {
    let server = Means::Callgrind.start(site, setup)?;
    let mut scene = Scene::new(site, server, Manner::default())?;
    let mut meter = Means::Callgrind.meter(&scene.server)?;
    let mut sums = Vec::with_capacity(2);
    let mut profile = None;
    for connections in [FROM, TO] {
        scene.grow(connections)?;
        scene.warm_up()?;
        let count = meter.least(times, || (0..PUSHES).try_for_each(|_| scene.push()))?;
        sums.push(count.instructions.user);
        profile = count.table(&format!("{TITLE} (a push to {TO}, with the push)"), (PUSHES * connections) as f64);
    }
    let user = (sums[1] - sums[0]) / (PUSHES * (TO - FROM)) as f64;
    let instructions = Instructions { user, total: None };
    Ok(Delivery { instructions, bytes: scene.load.bytes_per_delivery(), profile })
}
