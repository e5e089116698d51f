//! Memory that clients take who send a part of their request and wait: 9,000 of them, and what is left of it once they are gone.

use std::io::Write;
use std::net::TcpStream;

use anyhow::{Context, Result};

use super::{CONNECTIONS, Run};
use crate::bench::load::socket;
use crate::bench::memory;
use crate::bench::population::Population;
use crate::bench::report::{Budget, Report, Row};
use crate::bench::server::{Kind, Setup, Site};

/// How much of a request of some 900 bytes each client sends.
const SENT: usize = 200;

const BUDGET: f64 = 400.0;
const BUDGET_AFTER: f64 = 4.0 * 1024.0 * 1024.0;

/// Adds the rows.
pub fn add(run: &Run, report: &mut Report) -> Result<()> {
    let (hub, after) = measure(&run.site, Kind::Hub)?;
    // A short run has no time for it.
    let control = if run.quick { None } else { Some(measure(&run.site, Kind::Bare)?) };
    let controls = |of: fn((f64, f64)) -> f64| control.map(|control| (Kind::Bare, of(control))).into_iter().collect();
    report.add(Row {
        key: "slow_handshake_bytes",
        title: "bytes of a client that sent half a request",
        hub,
        controls: controls(|(waiting, _)| waiting),
        budget: Some(Budget::AtMost(BUDGET)),
    });
    report.add(Row {
        key: "bytes_after_slow_handshakes",
        title: "bytes left after 9,000 of them",
        hub: after,
        controls: controls(|(_, after)| after),
        budget: Some(Budget::AtMost(BUDGET_AFTER)),
    });
    Ok(())
}

/// Bytes of each while they wait, and of all once they are gone.
fn measure(site: &Site, kind: Kind) -> Result<(f64, f64)> {
    let server = site.start(Setup::of(kind))?;
    let request = Population::new(site.signer()).request(0, server.public())?;
    let part = request.as_bytes().get(..SENT).context("a short request")?;
    let before = memory::settled(server.id())?;
    let mut clients = Vec::with_capacity(CONNECTIONS);
    for index in 0..CONNECTIONS {
        let socket = socket(index)?;
        socket.connect(&server.public().into())?;
        let mut stream = TcpStream::from(socket);
        stream.write_all(part)?;
        clients.push(stream);
    }
    let during = memory::settled(server.id())?;
    drop(clients);
    server.rest()?;
    let after = memory::settled(server.id())?;
    let grown = |now: u64| now as f64 - before as f64;
    Ok((grown(during) / CONNECTIONS as f64, grown(after)))
}
