//! What clients cost that never read, one of a hundred. Memory: each gets pushes of its own, until the hub has replaced its
//! full queue twice; the most that the server's memory grew by counts. Instructions: of a delivery to the others, while a queue
//! waits for each that does not read.

use anyhow::{Result, ensure};

use super::Run;
use super::delivery::{FROM, PUSHES, TO};
use crate::bench::load::Manner;
use crate::bench::memory;
use crate::bench::meter::Means;
use crate::bench::push::Audience;
use crate::bench::report::{Budget, Report, Row};
use crate::bench::scene::Scene;
use crate::bench::server::{Kind, Setup};

const BUDGET: f64 = 64.0 * 1024.0;

/// How much more a delivery to the others may take.
const MORE: f64 = 1.05;

/// Of how many clients the first does not read.
const ONE_OF: usize = 100;

/// Rounds of pushes after which a queue has to be full: many times what kernel and queue hold.
const MOST: usize = 10_000;

const QUEUED: &str = "slow_consumers_total{action=\"queued\"}";
const COLLAPSED: &str = "slow_consumers_total{action=\"collapsed\"}";

/// Adds the rows.
pub fn add(run: &Run, report: &mut Report) -> Result<()> {
    report.add(Row {
        key: "slow_consumer_bytes",
        title: "bytes of a client that never reads",
        hub: growth(run)?,
        controls: Vec::new(),
        budget: Some(Budget::AtMost(BUDGET)),
    });
    let Some(means) = run.means else { return Ok(()) };
    let without = report.figure("delivery_user_instructions");
    report.add(Row {
        key: "slow_consumer_delivery_user_instructions",
        title: "user instructions of a delivery to others",
        hub: delivery(run, means)?,
        controls: Vec::new(),
        budget: without.map(|without| Budget::AtMost(without * MORE)),
    });
    Ok(())
}

fn scene(run: &Run, setup: Setup) -> Result<Scene> {
    let stalls = |index: usize| index.is_multiple_of(ONE_OF);
    Scene::new(&run.site, run.site.start(setup)?, Manner { stalls, ..Manner::default() })
}

/// One push to each client that does not read.
fn push_to_slow(scene: &mut Scene, connections: usize) -> Result<()> {
    (0..connections).step_by(ONE_OF).try_for_each(|slow| scene.server.push(Audience::User(slow)))
}

/// Bytes of each client that does not read.
fn growth(run: &Run) -> Result<f64> {
    let connections = run.choose(1_000, 3_000);
    let slow = connections / ONE_OF;
    let mut scene = scene(run, Setup::of(Kind::Hub).quiet())?;
    scene.grow(connections)?;
    // What the way of a push takes once.
    (0..slow).try_for_each(|number| scene.server.push(Audience::User(number * ONE_OF + 1)))?;
    let before = memory::settled(scene.server.id())?;
    let mut most = before;
    let mut rounds = 0;
    loop {
        push_to_slow(&mut scene, connections)?;
        rounds += 1;
        if rounds % 50 == 0 {
            most = most.max(memory::anonymous(scene.server.id())?);
            if scene.server.metric(COLLAPSED)? >= 2.0 * slow as f64 {
                break;
            }
        }
        ensure!(rounds < MOST, "the queues of clients that do not read are not full yet");
    }
    Ok((most - before) as f64 / slow as f64)
}

/// User instructions of a delivery to a client that reads: a slope, as where everybody reads.
fn delivery(run: &Run, means: Means) -> Result<f64> {
    let times = run.choose(2, 3);
    let setup = Setup { valgrind: means == Means::Callgrind, ..Setup::of(Kind::Hub).quiet() };
    let mut scene = scene(run, setup)?;
    let mut meter = means.meter(&run.site, Kind::Hub, &scene.server)?;
    let mut readings = Vec::with_capacity(2);
    for connections in [FROM, TO] {
        scene.grow(connections)?;
        fill(&mut scene, connections)?;
        scene.warm_up()?;
        let count = meter.least(times, || (0..PUSHES).try_for_each(|_| scene.push()))?;
        readings.push((count.instructions.user, (PUSHES * scene.load.readers()) as f64));
    }
    Ok((readings[1].0 - readings[0].0) / (readings[1].1 - readings[0].1))
}

/// Pushes until something waits for each client that does not read.
fn fill(scene: &mut Scene, connections: usize) -> Result<()> {
    let before = scene.server.metric(QUEUED)?;
    let enough = 10.0 * (connections / ONE_OF) as f64;
    for _ in 0..MOST {
        push_to_slow(scene, connections)?;
        if scene.server.metric(QUEUED)? - before >= enough {
            return Ok(());
        }
    }
    anyhow::bail!("clients that do not read were sent everything")
}
