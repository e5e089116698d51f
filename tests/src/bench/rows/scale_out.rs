//! What a push to one user takes, hubs and Redis together: four replicas against one, both with a Redis. Every user has one
//! device; with four replicas three pushes of four are posted at another one than the client's.

use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use super::Run;
use crate::bench::load::Load;
use crate::bench::meter::Means;
use crate::bench::population::Population;
use crate::bench::push::Audience;
use crate::bench::report::{Budget, Report, Row};
use crate::bench::server::{Kind, Server, Setup, Site};
use crate::wait;

const CLIENTS: usize = 120;
const REPLICAS: usize = 4;

/// How long a replica may take to hear the others.
const SOON: Duration = Duration::from_secs(60);

/// What a push takes.
struct Push {
    /// User instructions of all hubs.
    hubs: f64,
    /// Those of Redis.
    redis: f64,
    /// How many times Redis delivered it to a replica.
    deliveries: f64,
    /// Bytes that Redis took more with each user that connected.
    user_bytes: f64,
}

/// Adds the rows.
pub fn add(run: &Run, report: &mut Report) -> Result<()> {
    let Some(means) = run.means else { return Ok(()) };
    let rounds = run.choose(2, 10);
    let (one, four) = (measure(&run.site, means, 1, rounds)?, measure(&run.site, means, REPLICAS, rounds)?);
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

fn measure(site: &Site, means: Means, replicas: usize, rounds: u32) -> Result<Push> {
    let (redis, address) = site.redis(means == Means::Callgrind)?;
    let setup = |number| Setup { redis: Some(address), number, ..Setup::of(Kind::Hub).quiet() };
    let mut hubs = (0..replicas).map(|number| means.start(site, setup(number))).collect::<Result<Vec<_>>>()?;
    let population = Population::new(site.signer());
    let each = CLIENTS / replicas;
    let mut loads = Vec::new();
    let mut empty = None;
    for (number, hub) in hubs.iter().enumerate() {
        wait::until("a replica hears the others", SOON, || {
            ensure!(hub.metric("backplane_up")? == 1.0);
            Ok(())
        })?;
        empty.get_or_insert(used(address)?);
        let mut load = Load::new(hub.public())?;
        load.grow(each, &|index| population.request(number * each + index, hub.public()))?;
        loads.push(load);
    }
    // The records are young: everybody is told to sync once.
    loads.iter_mut().try_for_each(|load| load.receive(1))?;
    let user_bytes = (used(address)? - empty.unwrap_or_default()) / CLIENTS as f64;
    push(&mut hubs, &mut loads, 1)?;

    let mut meters = hubs.iter().map(|hub| means.meter(hub)).collect::<Result<Vec<_>>>()?;
    let mut redis_meter = means.attach(redis.id(), &site.redis_counts())?;
    let before = heard(&hubs)?;
    meters.iter_mut().chain([&mut redis_meter]).try_for_each(|meter| meter.begin())?;
    push(&mut hubs, &mut loads, rounds)?;
    let pushes = f64::from(rounds) * CLIENTS as f64;
    let counts = meters.iter_mut().map(|meter| Ok(meter.end()?.instructions.user)).collect::<Result<Vec<f64>>>()?;
    let redis = redis_meter.end()?.instructions.user / pushes;
    let (hubs, deliveries) = (counts.iter().sum::<f64>() / pushes, (heard(&hubs)? - before) / pushes);
    Ok(Push { hubs, redis, deliveries, user_bytes })
}

/// So many pushes to each user, posted at the replicas in turn.
fn push(hubs: &mut [Server], loads: &mut [Load], rounds: u32) -> Result<()> {
    loads.iter_mut().for_each(Load::restart);
    let replicas = hubs.len();
    for number in 0..rounds as usize * CLIENTS {
        hubs[number % replicas].push(Audience::User(number % CLIENTS))?;
    }
    loads.iter_mut().try_for_each(|load| load.receive(rounds))?;
    hubs.iter().try_for_each(Server::rest)
}

fn heard(hubs: &[Server]) -> Result<f64> {
    hubs.iter().map(|hub| hub.metric("backplane_messages_total{direction=\"heard\"}")).sum()
}

/// The bytes that Redis uses.
fn used(redis: SocketAddr) -> Result<f64> {
    let mut stream = TcpStream::connect(redis)?;
    stream.write_all(b"INFO memory\r\n")?;
    let lines = BufReader::new(stream).lines().map_while(std::io::Result::ok);
    let used = lines.take(100).find_map(|line| line.strip_prefix("used_memory:")?.trim().parse().ok());
    used.context("Redis does not tell what it uses")
}
