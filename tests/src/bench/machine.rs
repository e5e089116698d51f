//! What the bench asks of the machine: descriptors for every connection, and a processor for the server beside one for the load.

use anyhow::{Result, bail};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

/// Lets this process, and the servers that it starts, hold `connections` sockets.
pub fn allow(connections: usize) -> Result<()> {
    let wanted = connections as u64 + 200;
    let limit = getrlimit(Resource::Nofile);
    let unlimited = u64::MAX;
    if limit.maximum.unwrap_or(unlimited) < wanted {
        bail!(
            "{connections} connections need {wanted} file descriptors a process; the hard limit is {}",
            limit.maximum.unwrap_or(unlimited)
        );
    }
    if limit.current.unwrap_or(unlimited) < wanted {
        setrlimit(Resource::Nofile, Rlimit { current: Some(wanted), maximum: limit.maximum })?;
    }
    Ok(())
}

/// The processors of this bench: the first for the server, the rest for the load; one alone is shared.
pub struct Processors {
    server: CpuSet,
    load: CpuSet,
}

impl Processors {
    /// Splits the processors that this process may use.
    pub fn split() -> Result<Self> {
        let all = sched_getaffinity(None)?;
        let first = (0..CpuSet::MAX_CPU).find(|cpu| all.is_set(*cpu)).unwrap_or_default();
        let mut server = CpuSet::new();
        server.set(first);
        let mut load = all;
        if all.count() > 1 {
            load.unset(first);
        }
        Ok(Self { server, load })
    }

    /// Runs `start` so that the process that it starts stays on the server's processor; this thread stays on the others.
    pub fn start<T>(&self, start: impl FnOnce() -> Result<T>) -> Result<T> {
        sched_setaffinity(None, &self.server)?;
        let started = start();
        sched_setaffinity(None, &self.load)?;
        started
    }
}
