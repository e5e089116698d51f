//! Memory of 9,000 clients that have sent a part of their request, and the memory that remains after they disconnect.

use std::io::Write;
use std::net::TcpStream;

use anyhow::{Context, Result};

use super::{BenchRun, CONNECTIONS};
use crate::bench::load::client_socket;
use crate::bench::memory;
use crate::bench::population::Population;
use crate::bench::report::{Budget, Report, Row};
use crate::bench::server::{BenchEnvironment, ServerKind, ServerOptions};

/// The bytes that each client sends of its request, which has about 900.
const SENT_BYTES: usize = 200;

/// The maximum memory of a client, in bytes.
const BUDGET: f64 = 400.0;

/// The maximum memory after all clients have disconnected, in bytes.
const BUDGET_AFTER: f64 = 4.0 * 1024.0 * 1024.0;

/// Adds the rows.
pub fn add(run: &BenchRun, report: &mut Report) -> Result<()> {
    let (hub, after) = measure(&run.environment, ServerKind::Hub)?;
    // A quick run omits it.
    let control = if run.quick { None } else { Some(measure(&run.environment, ServerKind::Bare)?) };
    let controls = |select: fn((f64, f64)) -> f64| {
        control.map(|control| (ServerKind::Bare, select(control))).into_iter().collect()
    };
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

/// Returns the bytes of each waiting client, and the bytes that remain after all have disconnected.
fn measure(environment: &BenchEnvironment, kind: ServerKind) -> Result<(f64, f64)> {
    let server = environment.start(ServerOptions::new(kind))?;
    let request = Population::new(environment.signer()).upgrade_request(0, server.public())?;
    let part = request.as_bytes().get(..SENT_BYTES).context("a short request")?;
    let before = memory::settled_bytes(server.id())?;
    let mut clients = Vec::with_capacity(CONNECTIONS);
    for index in 0..CONNECTIONS {
        let socket = client_socket(index)?;
        socket.connect(&server.public().into())?;
        let mut stream = TcpStream::from(socket);
        stream.write_all(part)?;
        clients.push(stream);
    }
    let during = memory::settled_bytes(server.id())?;
    drop(clients);
    server.wait_idle()?;
    let after = memory::settled_bytes(server.id())?;
    let grown = |now: u64| now as f64 - before as f64;
    Ok((grown(during) / CONNECTIONS as f64, grown(after)))
}
