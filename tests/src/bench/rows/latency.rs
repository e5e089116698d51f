//! How long a push takes to its clients at about 30 % load, 9,000 connected: to random users, and of an organisation to 500. Sent
//! at fixed moments, timed from when a push was due to when each client has it. The rate is that which takes the hub 30 % of
//! a core, by what a push took it one at a time; the control gets as many. Neither pings meanwhile.

use std::time::Duration;

use anyhow::{Context, Result};

use super::{CONNECTIONS, Run};
use crate::bench::push::{Audience, Push};
use crate::bench::report::{Budget, Report, Row};
use crate::bench::scene::Scene;
use crate::bench::server::{Kind, Setup};
use crate::bench::statistics::p99_ms;

const UNICAST_BUDGET: f64 = 1.0;
const ORGANIZATION_BUDGET: f64 = 5.0;

const LOAD: f64 = 0.3;

/// A prime, so that the users of successive pushes lie far apart and all have their turn.
const STRIDE: usize = 4_001;

/// Adds the rows.
pub fn add(run: &Run, report: &mut Report) -> Result<()> {
    let duration = Duration::from_secs(run.choose(2, 10));
    let mut hub = run.full(Setup::of(Kind::Hub).quiet())?;
    let mut control = run.full(Setup::of(Kind::Bare).pushing(hub.load.bytes_per_delivery()))?;
    let rows = [
        ("unicast_p99_ms", "ms of a push to one user, p99", Target::Users, UNICAST_BUDGET),
        ("organization_p99_ms", "ms of a push to 500, p99", Target::Group, ORGANIZATION_BUDGET),
    ];
    for (key, title, target, budget) in rows {
        let every = interval(&mut hub, target, run.choose(200, 500))?;
        report.note(&key.replace("p99_ms", "pushes_per_second"), 1.0 / every.as_secs_f64());
        report.add(Row {
            key,
            title,
            hub: measure(&mut hub, target, every, duration)?,
            controls: vec![(Kind::Bare, measure(&mut control, target, every, duration)?)],
            budget: Some(Budget::AtMostOrTwice(budget)),
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
            Self::Group => (0..CONNECTIONS).filter(|index| Audience::Group.holds(*index)).count(),
        }
    }
}

/// How long a push apart from the next takes 30 % of a core.
fn interval(scene: &mut Scene, target: Target, pushes: usize) -> Result<Duration> {
    scene.restart();
    scene.server.reconnect()?;
    let before = scene.server.processor_time()?;
    for number in 0..pushes {
        scene.server.push(target.audience(number))?;
        scene.load.arrive(((number + 1) * target.size()) as u64)?;
    }
    scene.server.rest()?;
    let each = Duration::from_nanos(scene.server.processor_time()? - before) / pushes as u32;
    Ok(each.div_f64(LOAD))
}

fn measure(scene: &mut Scene, target: Target, every: Duration, duration: Duration) -> Result<f64> {
    let pushes = (duration.as_secs_f64() / every.as_secs_f64()) as usize;
    p99(scene, move |number| target.audience(number), target.size(), every, pushes)
}

/// The 99th percentile in milliseconds of pushes to what `audience` says of each, `readers` clients at a time.
pub fn p99(
    scene: &mut Scene,
    audience: impl Fn(usize) -> Audience + 'static,
    readers: usize,
    every: Duration,
    pushes: usize,
) -> Result<f64> {
    scene.restart();
    let sending = scene.server.sending();
    let request = move |number: usize, stamp| sending.request(&Push { audience: audience(number), stamp: Some(stamp) });
    scene.load.pace(scene.server.sending().internal, every, pushes, Box::new(request))?;
    scene.load.keep_pace()?;
    scene.load.arrive((pushes * readers) as u64)?;
    p99_ms(scene.load.counts().latencies.clone()).context("no push has arrived")
}
