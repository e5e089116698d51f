//! Latency of pushes at about 30 % load with 9,000 connections: to single users, and to an organization of 500. Pushes are sent
//! at fixed times, and the latency is the time from the due time to each delivery. The rate is computed from the CPU time of
//! single pushes to the hub. The control gets the same rate. Neither pings.

use std::time::Duration;

use anyhow::{Context, Result};

use super::{BenchRun, CONNECTIONS};
use crate::bench::loaded_server::LoadedServer;
use crate::bench::push::{Audience, Push};
use crate::bench::report::{Budget, Report, Row};
use crate::bench::server::{ServerKind, ServerOptions};
use crate::bench::statistics::p99_ms;

/// The maximum p99 latency of a push to one user, in milliseconds.
const UNICAST_BUDGET: f64 = 1.0;

/// The maximum p99 latency of a push to the organization, in milliseconds.
const ORGANIZATION_BUDGET: f64 = 5.0;

/// The share of a core that the pushes use.
const LOAD: f64 = 0.3;

/// A prime, so that successive pushes go to distant users and every user gets pushes.
const STRIDE: usize = 4_001;

/// Adds the rows.
pub fn add(run: &BenchRun, report: &mut Report) -> Result<()> {
    let duration = Duration::from_secs(run.choose(2, 10));
    let mut hub = run.loaded_server(ServerOptions::new(ServerKind::Hub).without_pings())?;
    let mut control =
        run.loaded_server(ServerOptions::new(ServerKind::Bare).with_frame_bytes(hub.load.bytes_per_delivery()))?;
    let rows = [
        ("unicast_p99_ms", "ms of a push to one user, p99", Target::Users, UNICAST_BUDGET),
        ("organization_p99_ms", "ms of a push to 500, p99", Target::Group, ORGANIZATION_BUDGET),
    ];
    for (key, title, target, budget) in rows {
        let push_interval = interval(&mut hub, target, run.choose(200, 500))?;
        report.note(&key.replace("p99_ms", "pushes_per_second"), 1.0 / push_interval.as_secs_f64());
        report.add(Row {
            key,
            title,
            hub: measure(&mut hub, target, push_interval, duration)?,
            controls: vec![(ServerKind::Bare, measure(&mut control, target, push_interval, duration)?)],
            budget: Some(Budget::AtMostOrTwiceControl(budget)),
        });
    }
    Ok(())
}

#[derive(Clone, Copy)]
enum Target {
    Users,
    Group,
}

impl Target {
    fn audience(self, number: usize) -> Audience {
        match self {
            Self::Users => Audience::User(number * STRIDE % CONNECTIONS),
            Self::Group => Audience::Group,
        }
    }

    fn size(self) -> usize {
        match self {
            Self::Users => 1,
            Self::Group => (0..CONNECTIONS).filter(|index| Audience::Group.contains(*index)).count(),
        }
    }
}

/// Returns the interval between pushes that uses the share `LOAD` of a core.
fn interval(loaded: &mut LoadedServer, target: Target, pushes: usize) -> Result<Duration> {
    loaded.reset_counts();
    loaded.server.reconnect()?;
    let before = loaded.server.cpu_time_ns()?;
    for number in 0..pushes {
        loaded.server.push(target.audience(number))?;
        loaded.load.wait_deliveries(((number + 1) * target.size()) as u64)?;
    }
    loaded.server.wait_idle()?;
    let each = Duration::from_nanos(loaded.server.cpu_time_ns()? - before) / pushes as u32;
    Ok(each.div_f64(LOAD))
}

fn measure(loaded: &mut LoadedServer, target: Target, push_interval: Duration, duration: Duration) -> Result<f64> {
    let pushes = (duration.as_secs_f64() / push_interval.as_secs_f64()) as usize;
    p99(loaded, move |number| target.audience(number), target.size(), push_interval, pushes)
}

/// Returns the p99 latency in milliseconds of scheduled pushes. `audience` returns the audience of a push by its number, with
/// `readers` clients that read.
pub fn p99(
    loaded: &mut LoadedServer,
    audience: impl Fn(usize) -> Audience + 'static,
    readers: usize,
    push_interval: Duration,
    pushes: usize,
) -> Result<f64> {
    loaded.reset_counts();
    let push_target = loaded.server.push_target();
    let request =
        move |number: usize, stamp| push_target.request(&Push { audience: audience(number), stamp: Some(stamp) });
    loaded.load.start_schedule(loaded.server.push_target().internal, push_interval, pushes, Box::new(request))?;
    loaded.load.run_schedule()?;
    loaded.load.wait_deliveries((pushes * readers) as u64)?;
    p99_ms(loaded.load.counts().latencies.clone()).context("no push has arrived")
}
