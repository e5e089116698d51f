//! Deliveries per second and core, by the CPU time of an organization push to 9,000 clients that do not read meanwhile. Hub and
//! control are measured alternately, so that other load affects both. The budget is a ratio.

use anyhow::{Context, Result};

use super::{BenchRun, CONNECTIONS};
use crate::bench::loaded_server::LoadedServer;
use crate::bench::report::{Budget, Report, Row};
use crate::bench::server::{ServerKind, ServerOptions};
use crate::bench::statistics::median;

/// The minimum rate of the hub, as a share of the control's.
const MIN_SHARE: f64 = 0.95;

/// Adds the row.
pub fn add(run: &BenchRun, report: &mut Report) -> Result<()> {
    let mut hub = run.loaded_server(ServerOptions::new(ServerKind::Hub).without_pings())?;
    let mut control =
        run.loaded_server(ServerOptions::new(ServerKind::Bare).with_frame_bytes(hub.load.bytes_per_delivery()))?;
    let (mut hubs, mut controls) = (Vec::new(), Vec::new());
    for _ in 0..run.choose(5, 15) {
        hubs.push(rate(&mut hub)?);
        controls.push(rate(&mut control)?);
    }
    report.add(Row {
        key: "deliveries_per_second_per_core",
        title: "deliveries a second and core",
        hub: median(hubs).context("no push")?,
        controls: vec![(ServerKind::Bare, median(controls).context("no push")?)],
        budget: Some(Budget::ShareOfControl(MIN_SHARE)),
    });
    Ok(())
}

fn rate(loaded: &mut LoadedServer) -> Result<f64> {
    let before = loaded.server.cpu_time_ns()?;
    loaded.send(1)?;
    let spent = loaded.server.cpu_time_ns()? - before;
    loaded.receive()?;
    Ok(CONNECTIONS as f64 * 1e9 / spent as f64)
}
