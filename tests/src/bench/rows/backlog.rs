//! Deliveries per second and core of a backlog, in which one write contains many frames. Stalled clients resume when a hundred
//! frames are queued for each. The CPU time of the server counts until all frames are written.

use anyhow::{Result, ensure};

use super::BenchRun;
use crate::bench::load::ClientBehavior;
use crate::bench::loaded_server::LoadedServer;
use crate::bench::report::{Budget, Report, Row};
use crate::bench::server::{ServerKind, ServerOptions};

const BUDGET: f64 = 1_000_000.0;

/// The number of queued frames for each client.
const QUEUED_FRAMES: f64 = 100.0;

/// The number of pushes between two checks of the number of queued frames.
const PUSHES_PER_CHECK: u32 = 50;

/// The maximum number of checks. It allows several times the pushes that the kernel buffers.
const MAX_CHECKS: u32 = 100;

/// Adds the row.
pub fn add(run: &BenchRun, report: &mut Report) -> Result<()> {
    let clients = run.choose(300, 1_000);
    let behavior = ClientBehavior { is_stalled: |_| true, ..ClientBehavior::default() };
    let mut loaded =
        LoadedServer::new(&run.environment, run.environment.start(ServerOptions::new(ServerKind::Hub))?, behavior)?;
    loaded.grow(clients)?;
    let mut queued = 0.0;
    for _ in 0..MAX_CHECKS {
        loaded.send(PUSHES_PER_CHECK)?;
        queued = loaded.server.metric("slow_consumer_actions_total{action=\"queued\"}")?;
        if queued >= QUEUED_FRAMES * clients as f64 {
            break;
        }
    }
    ensure!(queued > 0.0, "the kernel has buffered all frames");
    let (before, writes) = (loaded.server.cpu_time_ns()?, loaded.server.writes()?);
    loaded.load.resume()?;
    loaded.receive()?;
    let seconds = (loaded.server.cpu_time_ns()? - before) as f64 / 1e9;
    let writes = loaded.server.writes()? - writes;
    report.note("coalesced_frames_per_write", queued / writes.max(1) as f64);
    report.add(Row {
        key: "coalesced_deliveries_per_second_per_core",
        title: "deliveries a second and core, of a backlog",
        hub: queued / seconds,
        controls: Vec::new(),
        budget: Some(Budget::AtLeast(BUDGET)),
    });
    Ok(())
}
