//! Instructions of a push to one user with four replicas, compared with one, both with a Redis. Each user has one client. With
//! four replicas, three of four pushes are posted to another replica than the client's.

use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use super::BenchRun;
use crate::bench::load::Load;
use crate::bench::meter::CounterKind;
use crate::bench::population::Population;
use crate::bench::push::Audience;
use crate::bench::report::{Budget, Report, Row};
use crate::bench::server::{BenchEnvironment, Server, ServerKind, ServerOptions};
use crate::wait;

/// The number of clients of all replicas.
const CLIENTS: usize = 120;

/// The number of replicas.
const REPLICAS: usize = 4;

/// The timeout of a replica's connect to Redis.
const REDIS_TIMEOUT: Duration = Duration::from_secs(60);

/// The cost of a push.
struct PushCost {
    /// The user instructions of all hubs.
    hubs: f64,
    /// The user instructions of Redis.
    redis: f64,
    /// The number of replicas that Redis delivered it to.
    deliveries: f64,
    /// The bytes of Redis for each connected user.
    user_bytes: f64,
}

/// Adds the rows.
pub fn add(run: &BenchRun, report: &mut Report) -> Result<()> {
    let Some(counter_kind) = run.counter_kind else { return Ok(()) };
    let rounds = run.choose(2, 10);
    let (one, four) = (
        measure(&run.environment, counter_kind, 1, rounds)?,
        measure(&run.environment, counter_kind, REPLICAS, rounds)?,
    );
    let ratio = (four.hubs + four.redis) / (one.hubs + one.redis);
    let mut row = |key, title, hub, most| {
        report.add(Row { key, title, hub, controls: Vec::new(), budget: Some(Budget::AtMost(most)) });
    };
    row("scale_out_ratio", "a push: four replicas against one, with Redis", ratio, 1.25);
    row("redis_deliveries_per_push", "deliveries of Redis a push", four.deliveries, 1.1);
    report.note("redis_bytes_per_user", one.user_bytes);
    report.note("replica_push_user_instructions", one.hubs);
    report.note("replicas_push_user_instructions", four.hubs);
    report.note("redis_push_user_instructions", four.redis);
    Ok(())
}

fn measure(
    environment: &BenchEnvironment,
    counter_kind: CounterKind,
    replicas: usize,
    rounds: u32,
) -> Result<PushCost> {
    let (redis, address) = environment.redis(counter_kind == CounterKind::Callgrind)?;
    let options =
        |number| ServerOptions { redis: Some(address), number, ..ServerOptions::new(ServerKind::Hub).without_pings() };
    let mut hubs =
        (0..replicas).map(|number| counter_kind.start(environment, options(number))).collect::<Result<Vec<_>>>()?;
    let population = Population::new(environment.signer());
    let each = CLIENTS / replicas;
    let mut loads = Vec::new();
    let mut empty = None;
    for (number, hub) in hubs.iter().enumerate() {
        wait::until("a replica is connected to Redis", REDIS_TIMEOUT, || {
            ensure!(hub.metric("backplane_up")? == 1.0);
            Ok(())
        })?;
        empty.get_or_insert(redis_bytes(address)?);
        let mut load = Load::new(hub.public())?;
        load.grow(each, &|index| population.upgrade_request(number * each + index, hub.public()))?;
        loads.push(load);
    }
    // The records are new, so every client receives one sync.
    loads.iter_mut().try_for_each(|load| load.wait_each(1))?;
    let user_bytes = (redis_bytes(address)? - empty.unwrap_or_default()) / CLIENTS as f64;
    push(&mut hubs, &mut loads, 1)?;

    let mut meters = hubs.iter().map(|hub| counter_kind.meter(hub)).collect::<Result<Vec<_>>>()?;
    let mut redis_meter = counter_kind.attach(redis.id(), &environment.redis_callgrind_output())?;
    let before = backplane_deliveries(&hubs)?;
    meters.iter_mut().chain([&mut redis_meter]).try_for_each(|meter| meter.begin())?;
    push(&mut hubs, &mut loads, rounds)?;
    let pushes = f64::from(rounds) * CLIENTS as f64;
    let counts = meters.iter_mut().map(|meter| Ok(meter.end()?.instructions.user)).collect::<Result<Vec<f64>>>()?;
    let redis = redis_meter.end()?.instructions.user / pushes;
    let (hubs, deliveries) = (counts.iter().sum::<f64>() / pushes, (backplane_deliveries(&hubs)? - before) / pushes);
    Ok(PushCost { hubs, redis, deliveries, user_bytes })
}

/// Sends `rounds` pushes to each user, posted to the replicas in turn.
fn push(hubs: &mut [Server], loads: &mut [Load], rounds: u32) -> Result<()> {
    loads.iter_mut().for_each(Load::reset_counts);
    let replicas = hubs.len();
    for number in 0..rounds as usize * CLIENTS {
        hubs[number % replicas].push(Audience::User(number % CLIENTS))?;
    }
    loads.iter_mut().try_for_each(|load| load.wait_each(rounds))?;
    hubs.iter().try_for_each(Server::wait_idle)
}

/// Returns the number of messages that all hubs received from Redis.
fn backplane_deliveries(hubs: &[Server]) -> Result<f64> {
    hubs.iter().map(|hub| hub.metric("backplane_messages_total{direction=\"received\"}")).sum()
}

/// Returns the bytes that Redis uses.
fn redis_bytes(redis: SocketAddr) -> Result<f64> {
    let mut stream = TcpStream::connect(redis)?;
    stream.write_all(b"INFO memory\r\n")?;
    let lines = BufReader::new(stream).lines().map_while(std::io::Result::ok);
    let used = lines.take(100).find_map(|line| line.strip_prefix("used_memory:")?.trim().parse().ok());
    used.context("no used_memory in the answer of Redis")
}
