//! Effect of a reconnect storm on other clients: 9,000 clients with uncached tokens connect, 256 at a time, while 100 connected
//! clients get pushes. Both sides ping every 0.75 s, and the client timeout is 3 s, so a server that is busy for that long loses
//! clients.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, ensure};

use super::{BenchRun, CONNECTIONS};
use crate::bench::load::{ClientBehavior, Load};
use crate::bench::population::{self, Population};
use crate::bench::push::{Audience, Push};
use crate::bench::report::{Budget, Report, Row};
use crate::bench::server::{BenchEnvironment, ServerKind, ServerOptions};
use crate::bench::statistics::p99_ms;
use crate::http;

/// The maximum p99 latency, in milliseconds.
const BUDGET: f64 = 50.0;

/// The number of clients that are connected before the storm.
const OBSERVERS: usize = 100;

/// The maximum number of clients that are connecting.
const MAX_CONNECTING: usize = 256;

/// The ping interval of server and clients.
const PING_INTERVAL: Duration = Duration::from_millis(750);

/// The interval between two requests for `/alive`.
const PROBE_INTERVAL: Duration = Duration::from_millis(20);

/// The maximum duration of a response to `/alive`, in milliseconds.
const MAX_ALIVE_MS: f64 = 1_000.0;

/// The interval between two pushes to observers.
const PUSH_INTERVAL: Duration = Duration::from_millis(1);

/// The result of a measurement.
struct Storm {
    /// The p99 latency of pushes to observers, in milliseconds.
    p99: f64,
    /// The number of clients whose connection the server closed.
    timeouts: usize,
    /// The bytes of a delivery on the wire.
    bytes: f64,
    /// The longest response time of `/alive`, in milliseconds.
    alive: f64,
}

/// Adds the rows.
pub fn add(run: &BenchRun, report: &mut Report) -> Result<()> {
    // Tokens are signed in advance, because a signature takes longer than a connect.
    let population = Population::new(run.environment.key().signer()?);
    let tokens: Vec<String> =
        (0..OBSERVERS + CONNECTIONS).map(|index| population.token(index)).collect::<Result<_>>()?;
    let hub =
        measure(&run.environment, ServerOptions { identity: true, ..ServerOptions::new(ServerKind::Hub) }, &tokens)?;
    let control = measure(&run.environment, ServerOptions::new(ServerKind::Bare).with_frame_bytes(hub.bytes), &tokens)?;
    report.add(Row {
        key: "storm_p99_ms",
        title: "ms to others during 9,000 connects, p99",
        hub: hub.p99,
        controls: vec![(ServerKind::Bare, control.p99)],
        budget: Some(Budget::AtMostOrTwiceControl(BUDGET)),
    });
    report.add(Row {
        key: "storm_ping_timeouts",
        title: "clients lost meanwhile",
        hub: hub.timeouts as f64,
        controls: vec![(ServerKind::Bare, control.timeouts as f64)],
        budget: Some(Budget::AtMost(0.0)),
    });
    report.add(Row {
        key: "storm_alive_ms",
        title: "ms of /alive meanwhile, the longest",
        hub: hub.alive,
        controls: Vec::new(),
        budget: Some(Budget::AtMost(MAX_ALIVE_MS)),
    });
    Ok(())
}

fn measure(environment: &BenchEnvironment, options: ServerOptions, tokens: &[String]) -> Result<Storm> {
    let server = environment.start(options.with_ping_interval(PING_INTERVAL))?;
    let behavior = ClientBehavior {
        max_connecting: MAX_CONNECTING,
        ping_interval: Some(PING_INTERVAL),
        allows_losses: true,
        ..ClientBehavior::default()
    };
    let mut load = Load::with_behavior(server.public(), behavior)?;
    let requests = |index: usize| Ok(population::upgrade_request(&tokens[index], server.public()));
    load.grow(OBSERVERS, &requests)?;
    load.reset_counts();
    let push_target = server.push_target();
    let pushes = move |number: usize, stamp| {
        push_target.request(&Push { audience: Audience::User(number % OBSERVERS), stamp: Some(stamp) })
    };
    load.start_schedule(server.push_target().internal, PUSH_INTERVAL, usize::MAX, Box::new(pushes))?;
    let over = AtomicBool::new(false);
    let alive = std::thread::scope(|scope| {
        // The control ignores the path and answers with an upgrade.
        let prober = scope.spawn(|| probe(server.public(), options.kind, &over));
        let grown = load.grow(OBSERVERS + CONNECTIONS, &requests);
        over.store(true, Ordering::Relaxed);
        let alive = prober.join().map_err(|_| anyhow!("the prober panicked"))?;
        grown.and(alive)
    })?;
    let sent = load.stop_schedule();
    load.wait_deliveries(sent as u64)?;
    let counts = load.counts();
    let p99 = p99_ms(counts.latencies.clone()).context("no push has arrived")?;
    Ok(Storm { p99, timeouts: counts.lost, bytes: load.bytes_per_delivery(), alive })
}

/// Requests `/alive` repeatedly until `over` is set. Returns the longest response time in milliseconds.
fn probe(server: SocketAddr, kind: ServerKind, over: &AtomicBool) -> Result<f64> {
    let mut longest = Duration::ZERO;
    while !over.load(Ordering::Relaxed) {
        let begun = Instant::now();
        let status = http::get(server, "/alive")?.status;
        ensure!(status == if kind == ServerKind::Hub { 200 } else { 101 }, "/alive was answered {status}");
        longest = longest.max(begun.elapsed());
        std::thread::sleep(PROBE_INTERVAL);
    }
    Ok(longest.as_secs_f64() * 1e3)
}
