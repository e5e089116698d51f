//! A server with its clients, all of which belong to one organisation, and every eighteenth to another one.

use anyhow::Result;

use super::load::{Load, Manner};
use super::population::Population;
use super::push::Audience;
use super::server::{Server, Site};

/// A server and its clients.
pub struct Scene {
    /// The server.
    pub server: Server,
    /// Its clients.
    pub load: Load,
    population: Population,
    pushed: u32,
}

impl Scene {
    /// Nobody is connected yet.
    pub fn new(site: &Site, server: Server, manner: Manner) -> Result<Self> {
        let population = Population::new(site.signer()).sharing(Audience::Everybody).sharing(Audience::Group);
        Ok(Self { load: Load::with(server.public(), manner)?, server, population, pushed: 0 })
    }

    /// Connects more clients.
    pub fn grow(&mut self, connections: usize) -> Result<()> {
        let (population, public) = (&self.population, self.server.public());
        self.load.grow(connections, &|index| population.request(index, public))
    }

    /// Sends one push that is not counted, so that whatever is made once is made.
    pub fn warm_up(&mut self) -> Result<()> {
        self.restart();
        self.push()
    }

    /// Counts from nought again.
    pub fn restart(&mut self) {
        self.load.restart();
        self.pushed = 0;
    }

    /// One push to everybody, up to the last client and until the server rests.
    pub fn push(&mut self) -> Result<()> {
        self.server.push(Audience::Everybody)?;
        self.pushed += 1;
        self.receive()
    }

    /// Pushes to everybody, which nobody reads yet, until the server rests.
    pub fn send(&mut self, pushes: u32) -> Result<()> {
        (0..pushes).try_for_each(|_| self.server.push(Audience::Everybody))?;
        self.pushed += pushes;
        self.server.rest()
    }

    /// Everybody reads what was sent.
    pub fn receive(&mut self) -> Result<()> {
        self.load.receive(self.pushed)?;
        self.server.rest()
    }
}
