//! Counts the instructions of a server with hardware counters, or with callgrind if the machine has none.

use std::path::Path;

use anyhow::Result;

use super::callgrind::{self, Callgrind};
use super::counters::{self, Counters, Instructions};
use super::server::{BenchEnvironment, Server, ServerOptions};

/// The maximum number of functions in the table of a profile.
const MAX_FUNCTIONS: usize = 12;

/// A way to count instructions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CounterKind {
    /// Hardware counters.
    Hardware,
    /// Callgrind, which counts user instructions only.
    Callgrind,
}

/// Counts the instructions of one process.
pub enum Meter {
    /// With hardware counters, from this reading on.
    Hardware(Counters, Option<Instructions>),
    /// With callgrind.
    Callgrind(Callgrind),
}

/// The instructions of a measurement.
pub struct InstructionCount {
    /// The total.
    pub instructions: Instructions,
    /// The user instructions by function. Empty with hardware counters.
    pub functions: Vec<(String, u64)>,
}

impl CounterKind {
    /// Returns the best way on this machine, or `None` if it has none.
    pub fn detect() -> Option<Self> {
        match (counters::available(), callgrind::available()) {
            (true, _) => Some(Self::Hardware),
            (false, true) => Some(Self::Callgrind),
            (false, false) => None,
        }
    }

    /// Starts a server whose instructions can be counted.
    pub fn start(self, environment: &BenchEnvironment, options: ServerOptions) -> Result<Server> {
        environment.start(ServerOptions { valgrind: self == Self::Callgrind, ..options })
    }

    /// Creates the meter of a server that was started with [`Self::start`].
    pub fn meter(self, server: &Server) -> Result<Meter> {
        self.attach(server.id(), server.callgrind_output())
    }

    /// Creates the meter of a process. `counts` is the output prefix of callgrind.
    pub fn attach(self, process: u32, counts: &Path) -> Result<Meter> {
        match self {
            Self::Hardware => Ok(Meter::Hardware(Counters::attach(process)?, None)),
            Self::Callgrind => Ok(Meter::Callgrind(Callgrind::attach(process, counts))),
        }
    }
}

impl Meter {
    /// Starts counting from 0.
    pub fn begin(&mut self) -> Result<()> {
        match self {
            Self::Hardware(counters, before) => *before = Some(counters.read()?),
            Self::Callgrind(callgrind) => callgrind.begin()?,
        }
        Ok(())
    }

    /// Counts the same work several times and returns the smallest count, because timers only add instructions.
    pub fn min_of(&mut self, times: usize, mut work: impl FnMut() -> Result<()>) -> Result<InstructionCount> {
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

    /// Stops counting and returns the count.
    pub fn end(&mut self) -> Result<InstructionCount> {
        match self {
            Self::Hardware(counters, before) => {
                let now = counters.read()?;
                let instructions = before.map_or(now, |before| now.since(before, 1));
                Ok(InstructionCount { instructions, functions: Vec::new() })
            }
            Self::Callgrind(callgrind) => {
                let profile = callgrind.end()?;
                let instructions = Instructions { user: profile.instructions as f64, total: None };
                Ok(InstructionCount { instructions, functions: profile.functions })
            }
        }
    }
}

impl InstructionCount {
    /// Returns a table of the most expensive functions, divided by `count`, or `None` without functions.
    pub fn table(&self, title: &str, count: f64) -> Option<String> {
        if self.functions.is_empty() {
            return None;
        }
        let mut text = format!("{title}, by function:\n");
        for (name, cost) in self.functions.iter().take(MAX_FUNCTIONS) {
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
        let mut count =
            InstructionCount { instructions, functions: vec![("first".to_owned(), 25), ("second".to_owned(), 5)] };
        let expected = "a push, by function:\n         2.5  first\n         0.5  second\n";
        assert_eq!(count.table("a push", 10.0).as_deref(), Some(expected));
        count.functions.clear();
        assert_eq!(count.table("a push", 10.0), None);
    }
}
