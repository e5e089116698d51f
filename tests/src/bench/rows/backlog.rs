//! Deliveries a second and core when many frames wait for the same socket and leave in one write: clients that did not read
//! until a hundred frames waited for each read again, and the server's processor time until all are out counts.

use anyhow::{Result, ensure};

use super::Run;
use crate::bench::load::Manner;
use crate::bench::report::{Budget, Report, Row};
use crate::bench::scene::Scene;
use crate::bench::server::{Kind, Setup};

const BUDGET: f64 = 1_000_000.0;

/// Frames that wait for each client.
const WAITING: f64 = 100.0;

/// How many pushes are sent before it is looked how many wait, and how often: several times what the kernel takes.
const AT_ONCE: u32 = 50;
const MOST: u32 = 100;

/// Adds the row.
pub fn add(run: &Run, report: &mut Report) -> Result<()> {
    let clients = run.choose(300, 1_000);
    let manner = Manner { stalls: |_| true, ..Manner::default() };
    let mut scene = Scene::new(&run.site, run.site.start(Setup::of(Kind::Hub))?, manner)?;
    scene.grow(clients)?;
    let mut waiting = 0.0;
    for _ in 0..MOST {
        scene.send(AT_ONCE)?;
        waiting = scene.server.metric("slow_consumers_total{action=\"queued\"}")?;
        if waiting >= WAITING * clients as f64 {
            break;
        }
    }
    ensure!(waiting > 0.0, "the kernel has taken everything");
    let (before, writes) = (scene.server.processor_time()?, scene.server.writes()?);
    scene.load.resume()?;
    scene.receive()?;
    let seconds = (scene.server.processor_time()? - before) as f64 / 1e9;
    let writes = scene.server.writes()? - writes;
    report.note("coalesced_frames_per_write", waiting / writes.max(1) as f64);
    report.add(Row {
        key: "coalesced_deliveries_per_second_per_core",
        title: "deliveries a second and core, of a backlog",
        hub: waiting / seconds,
        controls: Vec::new(),
        budget: Some(Budget::AtLeast(BUDGET)),
    });
    Ok(())
}
