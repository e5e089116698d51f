//! Counts a server's instructions by the best means that the machine has: its own counters, or callgrind.

use std::path::Path;

use anyhow::Result;

use super::callgrind::{self, Callgrind};
use super::counters::{self, Counters, Instructions};
use super::server::{Server, Setup, Site};

/// How many functions of a profile are shown.
const SHOWN: usize = 12;

/// Which means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Means {
    /// The machine's counters.
    Hardware,
    /// Callgrind: user instructions only.
    Callgrind,
}

/// A server whose instructions are counted.
pub enum Meter {
    /// By the machine, from this reading on.
    Hardware(Counters, Option<Instructions>),
    /// By callgrind.
    Callgrind(Callgrind),
}

/// What was counted.
pub struct Count {
    /// All of it, not divided by anything.
    pub instructions: Instructions,
    /// By function, as far as that is known.
    pub functions: Vec<(String, u64)>,
}

impl Means {
    /// What this machine has; nothing where nothing counts.
    pub fn here() -> Option<Self> {
        match (counters::available(), callgrind::available()) {
            (true, _) => Some(Self::Hardware),
            (false, true) => Some(Self::Callgrind),
            (false, false) => None,
        }
    }

    /// Starts a server that can be counted.
    pub fn start(self, site: &Site, setup: Setup) -> Result<Server> {
        site.start(Setup { valgrind: self == Self::Callgrind, ..setup })
    }

    /// A meter for a server that was started so.
    pub fn meter(self, server: &Server) -> Result<Meter> {
        self.attach(server.id(), server.counts())
    }

    /// A meter for a process; callgrind writes to these files what it counts there.
    pub fn attach(self, process: u32, counts: &Path) -> Result<Meter> {
        match self {
            Self::Hardware => Ok(Meter::Hardware(Counters::attach(process)?, None)),
            Self::Callgrind => Ok(Meter::Callgrind(Callgrind::attach(process, counts))),
        }
    }
}

impl Meter {
    /// Starts to count, from nought.
    pub fn begin(&mut self) -> Result<()> {
        match self {
            Self::Hardware(counters, before) => *before = Some(counters.read()?),
            Self::Callgrind(callgrind) => callgrind.begin()?,
        }
        Ok(())
    }

    /// Counts the same work several times, and gives the least: what timers do meanwhile only adds.
    pub fn least(&mut self, times: usize, mut work: impl FnMut() -> Result<()>) -> Result<Count> {
        let mut count = || {
            self.begin()?;
            work()?;
            self.end()
        };
        let mut least = count()?;
        for _ in 1..times {
            let next = count()?;
            if next.instructions.user < least.instructions.user {
                least = next;
            }
        }
        Ok(least)
    }

    /// Ends counting.
    pub fn end(&mut self) -> Result<Count> {
        match self {
            Self::Hardware(counters, before) => {
                let now = counters.read()?;
                let instructions = before.map_or(now, |before| now.since(before, 1));
                Ok(Count { instructions, functions: Vec::new() })
            }
            Self::Callgrind(callgrind) => {
                let profile = callgrind.end()?;
                let instructions = Instructions { user: profile.instructions as f64, total: None };
                Ok(Count { instructions, functions: profile.functions })
            }
        }
    }
}

impl Count {
    /// The most expensive functions, a line each, divided by `count`; nothing where functions are not known.
    pub fn table(&self, title: &str, count: f64) -> Option<String> {
        if self.functions.is_empty() {
            return None;
        }
        let mut text = format!("{title}, by function:\n");
        for (name, cost) in self.functions.iter().take(SHOWN) {
            text.push_str(&format!("{:>12.1}  {name}\n", *cost as f64 / count));
        }
        Some(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn count_table_lists_functions_per_operation() {
        let instructions = Instructions { user: 30.0, total: None };
        let mut count = Count { instructions, functions: vec![("first".to_owned(), 25), ("second".to_owned(), 5)] };
        let expected = "a push, by function:\n         2.5  first\n         0.5  second\n";
        assert_eq!(count.table("a push", 10.0).as_deref(), Some(expected));
        count.functions.clear();
        assert_eq!(count.table("a push", 10.0), None);
    }
}
