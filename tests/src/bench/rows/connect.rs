//! Instructions of a connect, from the accept to the answered SignalR handshake, of clients whose tokens the hub has verified
//! before: the same clients connect twice, and the second time counts.

use anyhow::Result;

use crate::bench::callgrind::Callgrind;
use crate::bench::counters::{Counters, Instructions};
use crate::bench::load::Load;
use crate::bench::population::Population;
use crate::bench::server::{Kind, Server, Site};

/// How many clients: fewer than the tokens that a hub remembers.
pub const CLIENTS: usize = 800;

/// Counts with the machine's counters.
pub fn counted(site: &Site, kind: Kind) -> Result<Instructions> {
    let (server, requests) = warm(site, kind, false)?;
    let mut counters = Counters::attach(server.id())?;
    let before = counters.read()?;
    connect(&server, &requests)?;
    Ok(counters.read()?.since(before, CLIENTS))
}

/// Counts with callgrind: user instructions only.
pub fn sloped(site: &Site, kind: Kind) -> Result<Instructions> {
    let (server, requests) = warm(site, kind, true)?;
    let mut callgrind = Callgrind::attach(server.id(), &site.counts(kind));
    callgrind.begin()?;
    connect(&server, &requests)?;
    let user = callgrind.end()? as f64 / CLIENTS as f64;
    Ok(Instructions { user, total: None })
}

/// A server that all clients have been connected to, and have left; with their requests.
fn warm(site: &Site, kind: Kind, counted: bool) -> Result<(Server, Vec<String>)> {
    let server = site.start(kind, counted)?;
    let population = Population::new(site.secret());
    let requests: Vec<String> =
        (0..CLIENTS).map(|index| population.request(index, server.public())).collect::<Result<_>>()?;
    connect(&server, &requests)?;
    Ok((server, requests))
}

/// Connects every client, and disconnects them all once the server rests.
fn connect(server: &Server, requests: &[String]) -> Result<()> {
    let mut load = Load::new(server.public())?;
    load.grow(requests.len(), &|index| Ok(requests[index].clone()))?;
    server.rest()?;
    drop(load);
    server.rest()
}
