//! Cost of clients that never read, one of a hundred. Memory: each gets pushes until the hub has coalesced its queue twice, and
//! the largest growth of the server's memory counts. Instructions: those of a delivery to the other clients, while a queue exists
//! for each stalled client.

use std::time::Duration;

use anyhow::{Context, Result, ensure};

use super::delivery::{FROM_CONNECTIONS, PUSHES, TO_CONNECTIONS};
use super::{BenchRun, latency};
use crate::bench::load::ClientBehavior;
use crate::bench::loaded_server::LoadedServer;
use crate::bench::memory;
use crate::bench::meter::CounterKind;
use crate::bench::push::Audience;
use crate::bench::report::{Budget, Report, Row};
use crate::bench::server::{ServerKind, ServerOptions};
use crate::bench::statistics::median;

/// The maximum memory of a stalled client, in bytes.
const MEMORY_BUDGET: f64 = 64.0 * 1024.0;

/// The maximum ratio of the instructions of a delivery to other clients, with and without stalled clients.
const MAX_INSTRUCTION_RATIO: f64 = 1.05;

/// The maximum ratio of the p99 latency of other clients, with and without stalled clients.
const MAX_LATENCY_RATIO: f64 = 1.5;

/// The number of latency comparisons.
const PAIRS: usize = 7;

/// The number of pushes of a latency measurement.
const LATENCY_PUSHES: usize = 200;

/// The interval between the pushes of a latency measurement.
const PUSH_INTERVAL: Duration = Duration::from_millis(5);

/// One of this many clients is stalled.
const STALLED_ONE_IN: usize = 100;

/// The maximum number of rounds of pushes until a queue is full. It is many times what kernel and queue hold.
const MAX_ROUNDS: usize = 10_000;

const QUEUED: &str = "slow_consumer_actions_total{action=\"queued\"}";
const COALESCED: &str = "slow_consumer_actions_total{action=\"coalesced\"}";

/// Adds the rows.
pub fn add(run: &BenchRun, report: &mut Report) -> Result<()> {
    report.add(Row {
        key: "slow_consumer_bytes",
        title: "bytes of a client that never reads",
        hub: memory_growth(run)?,
        controls: Vec::new(),
        budget: Some(Budget::AtMost(MEMORY_BUDGET)),
    });
    // A quick run omits it.
    if !run.quick {
        report.add(Row {
            key: "slow_consumer_p99_ratio",
            title: "p99 to the others, beside none that is slow",
            hub: latency_ratio(run)?,
            controls: Vec::new(),
            budget: Some(Budget::AtMost(MAX_LATENCY_RATIO)),
        });
    }
    let Some(counter_kind) = run.counter_kind else { return Ok(()) };
    let without = report.figure("delivery_user_instructions");
    report.add(Row {
        key: "slow_consumer_delivery_user_instructions",
        title: "user instructions of a delivery to others",
        hub: delivery_instructions(run, counter_kind)?,
        controls: Vec::new(),
        budget: without.map(|without| Budget::AtMost(without * MAX_INSTRUCTION_RATIO)),
    });
    Ok(())
}

/// Starts a server whose clients include stalled ones.
fn start_loaded(run: &BenchRun, options: ServerOptions) -> Result<LoadedServer> {
    let is_stalled = |index: usize| index.is_multiple_of(STALLED_ONE_IN);
    LoadedServer::new(
        &run.environment,
        run.environment.start(options)?,
        ClientBehavior { is_stalled, ..ClientBehavior::default() },
    )
}

/// Sends one push to each stalled client.
fn push_to_stalled(loaded: &mut LoadedServer, connections: usize) -> Result<()> {
    (0..connections).step_by(STALLED_ONE_IN).try_for_each(|slow| loaded.server.push(Audience::User(slow)))
}

/// Returns the memory growth for each stalled client, in bytes.
fn memory_growth(run: &BenchRun) -> Result<f64> {
    let connections = run.choose(1_000, 3_000);
    let slow = connections / STALLED_ONE_IN;
    let mut loaded = start_loaded(run, ServerOptions::new(ServerKind::Hub).without_pings())?;
    loaded.grow(connections)?;
    // The first pushes allocate memory once.
    (0..slow).try_for_each(|number| loaded.server.push(Audience::User(number * STALLED_ONE_IN + 1)))?;
    let before = memory::settled_bytes(loaded.server.id())?;
    let mut most = before;
    let mut rounds = 0;
    loop {
        push_to_stalled(&mut loaded, connections)?;
        rounds += 1;
        if rounds % 50 == 0 {
            most = most.max(memory::anonymous_bytes(loaded.server.id())?);
            if loaded.server.metric(COALESCED)? >= 2.0 * slow as f64 {
                break;
            }
        }
        ensure!(rounds < MAX_ROUNDS, "the queues of stalled clients are not full");
    }
    Ok((most - before) as f64 / slow as f64)
}

/// Returns the p99 latency of a group with stalled clients, divided by that of a group without: the median of several pairs.
fn latency_ratio(run: &BenchRun) -> Result<f64> {
    let connections = 3_000;
    let mut alone = LoadedServer::new(
        &run.environment,
        run.environment.start(ServerOptions::new(ServerKind::Hub).without_pings())?,
        ClientBehavior::default(),
    )?;
    let mut beside = start_loaded(run, ServerOptions::new(ServerKind::Hub).without_pings())?;
    for loaded in [&mut alone, &mut beside] {
        loaded.grow(connections)?;
        loaded.warm_up()?;
    }
    fill_queues(&mut beside, connections)?;
    let members = || (0..connections).filter(|index| Audience::Group.contains(*index));
    let readers = members().filter(|index| !index.is_multiple_of(STALLED_ONE_IN)).count();
    let p99 = |loaded: &mut LoadedServer, readers| {
        latency::p99(loaded, |_| Audience::Group, readers, PUSH_INTERVAL, LATENCY_PUSHES)
    };
    let pairs = (0..PAIRS).map(|_| {
        let without = p99(&mut alone, members().count())?;
        Ok(p99(&mut beside, readers)? / without)
    });
    median(pairs.collect::<Result<_>>()?).context("no pair")
}

/// Returns the user instructions of a delivery to a client that reads, as a slope.
fn delivery_instructions(run: &BenchRun, counter_kind: CounterKind) -> Result<f64> {
    let times = run.choose(2, 3);
    let options = ServerOptions {
        valgrind: counter_kind == CounterKind::Callgrind,
        ..ServerOptions::new(ServerKind::Hub).without_pings()
    };
    let mut loaded = start_loaded(run, options)?;
    let mut meter = counter_kind.meter(&loaded.server)?;
    let mut readings = Vec::with_capacity(2);
    for connections in [FROM_CONNECTIONS, TO_CONNECTIONS] {
        loaded.grow(connections)?;
        fill_queues(&mut loaded, connections)?;
        loaded.warm_up()?;
        let count = meter.min_of(times, || (0..PUSHES).try_for_each(|_| loaded.push()))?;
        readings.push((count.instructions.user, (PUSHES * loaded.load.readers()) as f64));
    }
    Ok((readings[1].0 - readings[0].0) / (readings[1].1 - readings[0].1))
}

/// Sends pushes until frames are queued for each stalled client.
fn fill_queues(loaded: &mut LoadedServer, connections: usize) -> Result<()> {
    let before = loaded.server.metric(QUEUED)?;
    let enough = 10.0 * (connections / STALLED_ONE_IN) as f64;
    for _ in 0..MAX_ROUNDS {
        push_to_stalled(loaded, connections)?;
        if loaded.server.metric(QUEUED)? - before >= enough {
            return Ok(());
        }
    }
    anyhow::bail!("no frames are queued for stalled clients")
}
