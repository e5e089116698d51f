//! Instructions of a connect, from the accept to the handshake response, and of the disconnect. The same clients connect twice,
//! and the second time counts, so that their tokens are in the cache.

use anyhow::Result;

use super::BenchRun;
use crate::bench::load::Load;
use crate::bench::meter::{CounterKind, InstructionCount};
use crate::bench::population::Population;
use crate::bench::report::{Budget, Report, Row};
use crate::bench::server::{BenchEnvironment, Server, ServerKind, ServerOptions};

const BUDGET: f64 = 15_000.0;

/// The number of clients, which is less than the size of the token cache.
const CLIENTS: usize = 800;

/// Adds the rows.
pub fn add(run: &BenchRun, report: &mut Report) -> Result<()> {
    let Some(counter_kind) = run.counter_kind else { return Ok(()) };
    let hub = measure(&run.environment, counter_kind, ServerKind::Hub)?;
    let mut totals = Vec::new();
    let mut controls = Vec::new();
    for (kind, _) in run.controls(|_| Ok(0.0))? {
        let count = measure(&run.environment, counter_kind, kind)?.instructions;
        controls.push((kind, count.user / CLIENTS as f64));
        totals.extend(count.total.map(|total| (kind, total / CLIENTS as f64)));
    }
    let (key, title) = ("connect_user_instructions", "user instructions of a connect");
    if let Some(profile) = hub.table(title, CLIENTS as f64) {
        report.add_profile(key, profile);
    }
    let user = hub.instructions.user / CLIENTS as f64;
    report.add(Row { key, title, hub: user, controls, budget: Some(Budget::AtMost(BUDGET)) });
    if let Some(total) = hub.instructions.total {
        let (key, title) = ("connect_instructions", "instructions of a connect, kernel too");
        report.add(Row { key, title, hub: total / CLIENTS as f64, controls: totals, budget: None });
    }
    Ok(())
}

fn measure(environment: &BenchEnvironment, counter_kind: CounterKind, kind: ServerKind) -> Result<InstructionCount> {
    let server = counter_kind.start(environment, ServerOptions::new(kind).without_pings())?;
    let population = Population::new(environment.signer());
    let requests: Vec<String> =
        (0..CLIENTS).map(|index| population.upgrade_request(index, server.public())).collect::<Result<_>>()?;
    connect(&server, &requests)?;
    let mut meter = counter_kind.meter(&server)?;
    meter.begin()?;
    connect(&server, &requests)?;
    meter.end()
}

/// Connects every client, waits until the server is idle, and disconnects them.
fn connect(server: &Server, requests: &[String]) -> Result<()> {
    let mut load = Load::new(server.public())?;
    load.grow(requests.len(), &|index| Ok(requests[index].clone()))?;
    server.wait_idle()?;
    drop(load);
    server.wait_idle()
}
