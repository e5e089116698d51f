//! The memory growth over ten cycles of 9,000 connects and disconnects, after the first cycle.

use anyhow::Result;

use super::{BenchRun, CONNECTIONS};
use crate::bench::load::Load;
use crate::bench::memory;
use crate::bench::population::{self, Population};
use crate::bench::report::{Budget, Report, Row};
use crate::bench::server::{Server, ServerKind, ServerOptions};

/// The number of cycles.
const CYCLES: usize = 10;

/// The maximum growth, as a share of the memory after the first cycle.
const MAX_GROWTH_SHARE: f64 = 0.05;

/// Adds the row. A quick run omits it.
pub fn add(run: &BenchRun, report: &mut Report) -> Result<()> {
    if run.quick {
        return Ok(());
    }
    let server = run.environment.start(ServerOptions::new(ServerKind::Hub))?;
    let population = Population::new(run.environment.signer());
    let tokens: Vec<String> = (0..CONNECTIONS).map(|index| population.token(index)).collect::<Result<_>>()?;
    cycle(&server, &tokens)?;
    let first = memory::settled_bytes(server.id())? as f64;
    (1..CYCLES).try_for_each(|_| cycle(&server, &tokens))?;
    let grown = memory::settled_bytes(server.id())? as f64 - first;
    report.note("churn_growth_percent", 100.0 * grown / first);
    report.add(Row {
        key: "bytes_after_churn_per_connection",
        title: "bytes a connection, after ten cycles",
        hub: grown / CONNECTIONS as f64,
        controls: Vec::new(),
        budget: Some(Budget::AtMost(MAX_GROWTH_SHARE * first / CONNECTIONS as f64)),
    });
    Ok(())
}

fn cycle(server: &Server, tokens: &[String]) -> Result<()> {
    let mut load = Load::new(server.public())?;
    load.grow(tokens.len(), &|index| Ok(population::upgrade_request(&tokens[index], server.public())))?;
    drop(load);
    server.wait_idle()
}
