//! Instructions of a connect, from the accept to the answered SignalR handshake, and of its end, of clients whose tokens the
//! hub has verified before: the same clients connect twice, and the second time counts.

use anyhow::Result;

use super::Run;
use crate::bench::load::Load;
use crate::bench::meter::{Count, Means};
use crate::bench::population::Population;
use crate::bench::report::{Budget, Report, Row};
use crate::bench::server::{Kind, Server, Setup, Site};

const BUDGET: f64 = 15_000.0;

/// How many clients: fewer than the tokens that a hub remembers.
const CLIENTS: usize = 800;

/// Adds the rows.
pub fn add(run: &Run, report: &mut Report) -> Result<()> {
    let Some(means) = run.means else { return Ok(()) };
    let hub = measure(&run.site, means, Kind::Hub)?;
    let mut totals = Vec::new();
    let mut controls = Vec::new();
    for (kind, _) in run.controls(|_| Ok(0.0))? {
        let count = measure(&run.site, means, kind)?.instructions;
        controls.push((kind, count.user / CLIENTS as f64));
        totals.extend(count.total.map(|total| (kind, total / CLIENTS as f64)));
    }
    let (key, title) = ("connect_user_instructions", "user instructions of a connect");
    if let Some(profile) = hub.table(title, CLIENTS as f64) {
        report.profile(key, profile);
    }
    let user = hub.instructions.user / CLIENTS as f64;
    report.add(Row { key, title, hub: user, controls, budget: Some(Budget::AtMost(BUDGET)) });
    if let Some(total) = hub.instructions.total {
        let (key, title) = ("connect_instructions", "instructions of a connect, kernel too");
        report.add(Row { key, title, hub: total / CLIENTS as f64, controls: totals, budget: None });
    }
    Ok(())
}

fn measure(site: &Site, means: Means, kind: Kind) -> Result<Count> {
    let server = means.start(site, Setup::of(kind).quiet())?;
    let population = Population::new(site.signer());
    let requests: Vec<String> =
        (0..CLIENTS).map(|index| population.request(index, server.public())).collect::<Result<_>>()?;
    connect(&server, &requests)?;
    let mut meter = means.meter(&server)?;
    meter.begin()?;
    connect(&server, &requests)?;
    meter.end()
}

/// Connects every client, and disconnects them all once the server rests.
fn connect(server: &Server, requests: &[String]) -> Result<()> {
    let mut load = Load::new(server.public())?;
    load.grow(requests.len(), &|index| Ok(requests[index].clone()))?;
    server.rest()?;
    drop(load);
    server.rest()
}
