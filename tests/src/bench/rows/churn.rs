//! What ten cycles of 9,000 connects and disconnects leave behind, compared with what the first left.

use anyhow::Result;

use super::{CONNECTIONS, Run};
use crate::bench::load::Load;
use crate::bench::memory;
use crate::bench::population::{self, Population};
use crate::bench::report::{Budget, Report, Row};
use crate::bench::server::{Kind, Server, Setup};

const CYCLES: usize = 10;

/// How much more than after the first cycle there may be, as a share.
const BUDGET: f64 = 0.05;

/// Adds the row; a short run has no time for it.
pub fn add(run: &Run, report: &mut Report) -> Result<()> {
    if run.quick {
        return Ok(());
    }
    let server = run.site.start(Setup::of(Kind::Hub))?;
    let population = Population::new(run.site.signer());
    let tokens: Vec<String> = (0..CONNECTIONS).map(|index| population.token(index)).collect::<Result<_>>()?;
    cycle(&server, &tokens)?;
    let first = memory::settled(server.id())? as f64;
    (1..CYCLES).try_for_each(|_| cycle(&server, &tokens))?;
    let grown = memory::settled(server.id())? as f64 - first;
    report.note("churn_growth_percent", 100.0 * grown / first);
    report.add(Row {
        key: "bytes_after_churn_per_connection",
        title: "bytes a connection, after ten cycles",
        hub: grown / CONNECTIONS as f64,
        controls: Vec::new(),
        budget: Some(Budget::AtMost(BUDGET * first / CONNECTIONS as f64)),
    });
    Ok(())
}

fn cycle(server: &Server, tokens: &[String]) -> Result<()> {
    let mut load = Load::new(server.public())?;
    load.grow(tokens.len(), &|index| Ok(population::request(&tokens[index], server.public())))?;
    drop(load);
    server.rest()
}
