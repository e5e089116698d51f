//! Instructions of a delivery of an organization push to every connection, one push at a time. All users share a fourth
//! organization, because each of the 900 has only about 30 members.
//!
//! With hardware counters, the figure is the count of 9,000 deliveries, divided by 9,000; the median of several pushes. With
//! callgrind, it is the slope between 200 and 1,200 connections, without the cost of the push itself.

use anyhow::{Context, Result};

use super::{BenchRun, CONNECTIONS};
use crate::bench::counters::Instructions;
use crate::bench::load::ClientBehavior;
use crate::bench::loaded_server::LoadedServer;
use crate::bench::meter::CounterKind;
use crate::bench::report::{Budget, Report, Row};
use crate::bench::server::{BenchEnvironment, ServerKind, ServerOptions};
use crate::bench::statistics::median;

const BUDGET: f64 = 100.0;

/// The smaller number of connections of a slope.
pub const FROM_CONNECTIONS: usize = 200;

/// The larger number of connections of a slope.
pub const TO_CONNECTIONS: usize = 1_200;

/// The number of pushes of one count with callgrind.
pub const PUSHES: usize = 3;

/// The cost of a delivery.
struct Delivery {
    instructions: Instructions,
    /// The bytes of a delivery on the wire.
    bytes: f64,
    profile: Option<String>,
}

const TITLE: &str = "user instructions of a delivery";

/// Adds the rows.
pub fn add(run: &BenchRun, report: &mut Report) -> Result<()> {
    let Some(counter_kind) = run.counter_kind else { return Ok(()) };
    let times = match counter_kind {
        CounterKind::Hardware => run.choose(3, 15),
        CounterKind::Callgrind => run.choose(2, 3),
    };
    let measure = |options| match counter_kind {
        CounterKind::Hardware => measure_with_counters(&run.environment, options, times),
        CounterKind::Callgrind => measure_slope(&run.environment, options, times),
    };
    let hub = measure(ServerOptions::new(ServerKind::Hub).without_pings())?;
    let mut totals = Vec::new();
    let mut controls = Vec::new();
    for (kind, _) in run.controls(|_| Ok(0.0))? {
        let control = measure(ServerOptions::new(kind).with_frame_bytes(hub.bytes))?.instructions;
        controls.push((kind, control.user));
        totals.extend(control.total.map(|total| (kind, total)));
    }
    let key = "delivery_user_instructions";
    if let Some(profile) = hub.profile {
        report.add_profile(key, profile);
    }
    let budget = Some(Budget::AtMost(BUDGET));
    report.add(Row { key, title: TITLE, hub: hub.instructions.user, controls, budget });
    if let Some(hub) = hub.instructions.total {
        let (key, title) = ("delivery_instructions", "instructions of a delivery, kernel too");
        report.add(Row { key, title, hub, controls: totals, budget: None });
    }
    Ok(())
}

/// Measures with hardware counters: the median of several pushes.
fn measure_with_counters(environment: &BenchEnvironment, options: ServerOptions, pushes: usize) -> Result<Delivery> {
    let server = CounterKind::Hardware.start(environment, options)?;
    let mut loaded = LoadedServer::new(environment, server, ClientBehavior::default())?;
    loaded.grow(CONNECTIONS)?;
    loaded.warm_up()?;
    let mut meter = CounterKind::Hardware.meter(&loaded.server)?;
    let mut readings = Vec::with_capacity(pushes);
    for _ in 0..pushes {
        meter.begin()?;
        loaded.push()?;
        readings.push(meter.end()?.instructions);
    }
    let each = CONNECTIONS as f64;
    let user = median(readings.iter().map(|reading| reading.user / each).collect()).context("no push")?;
    let totals: Option<Vec<f64>> = readings.iter().map(|reading| reading.total.map(|total| total / each)).collect();
    let total = totals.and_then(median);
    Ok(Delivery { instructions: Instructions { user, total }, bytes: loaded.load.bytes_per_delivery(), profile: None })
}

/// Measures with callgrind: the slope between two numbers of connections, each counted `times` times.
fn measure_slope(environment: &BenchEnvironment, options: ServerOptions, times: usize) -> Result<Delivery> {
    let server = CounterKind::Callgrind.start(environment, options)?;
    let mut loaded = LoadedServer::new(environment, server, ClientBehavior::default())?;
    let mut meter = CounterKind::Callgrind.meter(&loaded.server)?;
    let mut sums = Vec::with_capacity(2);
    let mut profile = None;
    for connections in [FROM_CONNECTIONS, TO_CONNECTIONS] {
        loaded.grow(connections)?;
        loaded.warm_up()?;
        let count = meter.min_of(times, || (0..PUSHES).try_for_each(|_| loaded.push()))?;
        sums.push(count.instructions.user);
        profile =
            count.table(&format!("{TITLE} (a push to {TO_CONNECTIONS}, with the push)"), (PUSHES * connections) as f64);
    }
    let user = (sums[1] - sums[0]) / (PUSHES * (TO_CONNECTIONS - FROM_CONNECTIONS)) as f64;
    let instructions = Instructions { user, total: None };
    Ok(Delivery { instructions, bytes: loaded.load.bytes_per_delivery(), profile })
}
