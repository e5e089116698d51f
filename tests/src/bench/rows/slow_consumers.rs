//! What clients cost that never read, one of a hundred. Memory: each gets pushes of its own, until the hub has replaced its
//! full queue twice; the most that the server's memory grew by counts. Instructions: of a delivery to the others, while a queue
//! waits for each that does not read.

use std::time::Duration;

use anyhow::{Context, Result, ensure};

use super::delivery::{FROM, PUSHES, TO};
use super::{Run, latency};
use crate::bench::load::Manner;
use crate::bench::memory;
use crate::bench::meter::Means;
use crate::bench::push::Audience;
use crate::bench::report::{Budget, Report, Row};
use crate::bench::scene::Scene;
use crate::bench::server::{Kind, Setup};
use crate::bench::statistics::median;

const BUDGET: f64 = 64.0 * 1024.0;

/// How much more a delivery to the others may take.
const MORE: f64 = 1.05;

/// How much longer a push may take to the others.
const LATER: f64 = 1.5;

/// How often that is compared, and by how many pushes to a group, one every so often.
const PAIRS: usize = 7;
const PACED: usize = 200;
const EVERY: Duration = Duration::from_millis(5);

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
    // A short run has no time for it.
    if !run.quick {
        report.add(Row {
            key: "slow_consumer_p99_ratio",
            title: "p99 to the others, beside none that is slow",
            hub: ratio(run)?,
            controls: Vec::new(),
            budget: Some(Budget::AtMost(LATER)),
        });
    }
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

/// How much longer pushes to a group take to those of it that read than to a group of which everybody reads: the median of pairs.
fn ratio(run: &Run) -> Result<f64> {
    let connections = 3_000;
    let mut alone = Scene::new(&run.site, run.site.start(Setup::of(Kind::Hub).quiet())?, Manner::default())?;
    let mut beside = scene(run, Setup::of(Kind::Hub).quiet())?;
    for scene in [&mut alone, &mut beside] {
        scene.grow(connections)?;
        scene.warm_up()?;
    }
    fill(&mut beside, connections)?;
    let members = || (0..connections).filter(|index| Audience::Group.holds(*index));
    let readers = members().filter(|index| !index.is_multiple_of(ONE_OF)).count();
    let p99 = |scene: &mut Scene, readers| latency::p99(scene, |_| Audience::Group, readers, EVERY, PACED);
    let pairs = (0..PAIRS).map(|_| {
        let without = p99(&mut alone, members().count())?;
        Ok(p99(&mut beside, readers)? / without)
    });
    median(pairs.collect::<Result<_>>()?).context("nothing was compared")
}

/// User instructions of a delivery to a client that reads: a slope, as where everybody reads.
fn delivery(run: &Run, means: Means) -> Result<f64> {
    let times = run.choose(2, 3);
    let setup = Setup { valgrind: means == Means::Callgrind, ..Setup::of(Kind::Hub).quiet() };
    let mut scene = scene(run, setup)?;
    let mut meter = means.meter(&scene.server)?;
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
