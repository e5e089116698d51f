//! What a storm does to others: 9,000 clients with tokens that nobody has seen connect as fast as they can, 256 at a time, while
//! 100 clients that are connected already get pushes. Pings go both ways every 0.75 s, and a client is given up after 3 s, so
//! that a server which is busy for so long loses clients.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, ensure};

use super::{CONNECTIONS, Run};
use crate::bench::load::{Load, Manner};
use crate::bench::population::{self, Population};
use crate::bench::push::{Audience, Push};
use crate::bench::report::{Budget, Report, Row};
use crate::bench::server::{Kind, Setup, Site};
use crate::bench::statistics::p99_ms;
use crate::http;

const BUDGET: f64 = 50.0;

/// Who is there before.
const OBSERVERS: usize = 100;

const IN_FLIGHT: usize = 256;
const PING: Duration = Duration::from_millis(750);

/// How often `/alive` is asked for, and how many milliseconds its answer may take.
const PROBE: Duration = Duration::from_millis(20);
const ALIVE: f64 = 1_000.0;

/// How often one of the observers gets a push.
const PUSH: Duration = Duration::from_millis(1);

struct Storm {
    p99: f64,
    timeouts: usize,
    bytes: f64,
    /// The longest that `/alive` took, in milliseconds.
    alive: f64,
}

/// Adds the rows.
pub fn add(run: &Run, report: &mut Report) -> Result<()> {
    // Signed before: a signature takes longer than a connect.
    let population = Population::new(run.site.key().signer()?);
    let tokens: Vec<String> =
        (0..OBSERVERS + CONNECTIONS).map(|index| population.token(index)).collect::<Result<_>>()?;
    let hub = measure(&run.site, Setup { identity: true, ..Setup::of(Kind::Hub) }, &tokens)?;
    let control = measure(&run.site, Setup::of(Kind::Bare).pushing(hub.bytes), &tokens)?;
    report.add(Row {
        key: "storm_p99_ms",
        title: "ms to others during 9,000 connects, p99",
        hub: hub.p99,
        controls: vec![(Kind::Bare, control.p99)],
        budget: Some(Budget::AtMostOrTwice(BUDGET)),
    });
    report.add(Row {
        key: "storm_ping_timeouts",
        title: "clients lost meanwhile",
        hub: hub.timeouts as f64,
        controls: vec![(Kind::Bare, control.timeouts as f64)],
        budget: Some(Budget::AtMost(0.0)),
    });
    report.add(Row {
        key: "storm_alive_ms",
        title: "ms of /alive meanwhile, the longest",
        hub: hub.alive,
        controls: Vec::new(),
        budget: Some(Budget::AtMost(ALIVE)),
    });
    Ok(())
}

fn measure(site: &Site, setup: Setup, tokens: &[String]) -> Result<Storm> {
    let server = site.start(setup.pinging(PING))?;
    let manner = Manner { in_flight: IN_FLIGHT, pulse: Some(PING), losses: true, ..Manner::default() };
    let mut load = Load::with(server.public(), manner)?;
    let requests = |index: usize| Ok(population::request(&tokens[index], server.public()));
    load.grow(OBSERVERS, &requests)?;
    load.restart();
    let sending = server.sending();
    let pushes = move |number: usize, stamp| {
        sending.request(&Push { audience: Audience::User(number % OBSERVERS), stamp: Some(stamp) })
    };
    load.pace(server.sending().internal, PUSH, usize::MAX, Box::new(pushes))?;
    let over = AtomicBool::new(false);
    let alive = std::thread::scope(|scope| {
        // The control knows no paths: it answers with an upgrade.
        let prober = scope.spawn(|| probe(server.public(), setup.kind, &over));
        let grown = load.grow(OBSERVERS + CONNECTIONS, &requests);
        over.store(true, Ordering::Relaxed);
        let alive = prober.join().map_err(|_| anyhow!("the prober panicked"))?;
        grown.and(alive)
    })?;
    let sent = load.end_pace();
    load.arrive(sent as u64)?;
    let counts = load.counts();
    let p99 = p99_ms(counts.latencies.clone()).context("no push has arrived")?;
    Ok(Storm { p99, timeouts: counts.lost, bytes: load.bytes_per_delivery(), alive })
}

/// Asks for `/alive` again and again; gives the longest that an answer took, in milliseconds.
fn probe(server: SocketAddr, kind: Kind, over: &AtomicBool) -> Result<f64> {
    let mut longest = Duration::ZERO;
    while !over.load(Ordering::Relaxed) {
        let begun = Instant::now();
        let status = http::get(server, "/alive")?.status;
        ensure!(status == if kind == Kind::Hub { 200 } else { 101 }, "/alive was answered {status}");
        longest = longest.max(begun.elapsed());
        std::thread::sleep(PROBE);
    }
    Ok(longest.as_secs_f64() * 1e3)
}
