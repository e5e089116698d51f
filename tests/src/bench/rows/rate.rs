//! Deliveries a second and core: one organisation push to 9,000 sockets that nobody reads meanwhile, by the server's own
//! processor time. Hub and control take turns, so that what the machine does besides falls on both. Counts as the ratio.

use anyhow::{Context, Result};

use super::{CONNECTIONS, Run};
use crate::bench::report::{Budget, Report, Row};
use crate::bench::scene::Scene;
use crate::bench::server::{Kind, Setup};
use crate::bench::statistics::median;

const SHARE: f64 = 0.95;

/// Adds the row.
pub fn add(run: &Run, report: &mut Report) -> Result<()> {
    let mut hub = run.full(Setup::of(Kind::Hub).quiet())?;
    let mut control = run.full(Setup::of(Kind::Bare).pushing(hub.load.bytes_per_delivery()))?;
    let (mut hubs, mut controls) = (Vec::new(), Vec::new());
    for _ in 0..run.choose(5, 15) {
        hubs.push(rate(&mut hub)?);
        controls.push(rate(&mut control)?);
    }
    report.add(Row {
        key: "deliveries_per_second_per_core",
        title: "deliveries a second and core",
        hub: median(hubs).context("no push")?,
        controls: vec![(Kind::Bare, median(controls).context("no push")?)],
        budget: Some(Budget::Share(SHARE)),
    });
    Ok(())
}

fn rate(scene: &mut Scene) -> Result<f64> {
    let before = scene.server.processor_time()?;
    scene.send(1)?;
    let spent = scene.server.processor_time()? - before;
    scene.receive()?;
    Ok(CONNECTIONS as f64 * 1e9 / spent as f64)
}
