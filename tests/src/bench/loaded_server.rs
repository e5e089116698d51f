//! A server with its clients. All clients share one organization, and every eighteenth another.

use anyhow::Result;

use super::load::{ClientBehavior, Load};
use super::population::Population;
use super::push::Audience;
use super::server::{BenchEnvironment, Server};

/// A server and its clients.
pub struct LoadedServer {
    /// The server.
    pub server: Server,
    /// Its clients.
    pub load: Load,
    population: Population,
    /// The number of pushes since the last reset of the counts.
    pushed: u32,
}

impl LoadedServer {
    /// Wraps a server without clients.
    pub fn new(environment: &BenchEnvironment, server: Server, behavior: ClientBehavior) -> Result<Self> {
        let population = Population::new(environment.signer())
            .with_shared_organization(Audience::Everyone)
            .with_shared_organization(Audience::Group);
        Ok(Self { load: Load::with_behavior(server.public(), behavior)?, server, population, pushed: 0 })
    }

    /// Connects clients until `connections` are connected.
    pub fn grow(&mut self, connections: usize) -> Result<()> {
        let (population, public) = (&self.population, self.server.public());
        self.load.grow(connections, &|index| population.upgrade_request(index, public))
    }

    /// Sends one push that is not counted, so that one-time work is done.
    pub fn warm_up(&mut self) -> Result<()> {
        self.reset_counts();
        self.push()
    }

    /// Resets the counts to 0.
    pub fn reset_counts(&mut self) {
        self.load.reset_counts();
        self.pushed = 0;
    }

    /// Sends one push to all clients, and waits for every delivery and until the server is idle.
    pub fn push(&mut self) -> Result<()> {
        self.server.push(Audience::Everyone)?;
        self.pushed += 1;
        self.receive()
    }

    /// Sends pushes to all clients, which do not read yet, and waits until the server is idle.
    pub fn send(&mut self, pushes: u32) -> Result<()> {
        (0..pushes).try_for_each(|_| self.server.push(Audience::Everyone))?;
        self.pushed += pushes;
        self.server.wait_idle()
    }

    /// Makes all clients read the pushes, and waits until the server is idle.
    pub fn receive(&mut self) -> Result<()> {
        self.load.wait_each(self.pushed)?;
        self.server.wait_idle()
    }
}
