//! Prepares the machine: the limit of file descriptors, and separate CPUs for the server and the load generator.

use anyhow::{Result, bail};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

/// Raises the limit of file descriptors of this process and its children, so that each can hold `connections` sockets.
pub fn raise_descriptor_limit(connections: usize) -> Result<()> {
    let wanted = connections as u64 + 200;
    let limit = getrlimit(Resource::Nofile);
    let unlimited = u64::MAX;
    if limit.maximum.unwrap_or(unlimited) < wanted {
        bail!(
            "{connections} connections need {wanted} file descriptors in a process; raise the hard limit, which is {}",
            limit.maximum.unwrap_or(unlimited)
        );
    }
    if limit.current.unwrap_or(unlimited) < wanted {
        setrlimit(Resource::Nofile, Rlimit { current: Some(wanted), maximum: limit.maximum })?;
    }
    Ok(())
}

/// The CPUs of a run: the first for the server, the others for the load generator. A single CPU is shared.
pub struct Processors {
    server: CpuSet,
    load: CpuSet,
}

impl Processors {
    /// Divides the CPUs that this process may use.
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

    /// Calls `start` such that the process that it starts runs on the server's CPU. This thread stays on the other CPUs.
    pub fn start<T>(&self, start: impl FnOnce() -> Result<T>) -> Result<T> {
        sched_setaffinity(None, &self.server)?;
        let started = start();
        sched_setaffinity(None, &self.load)?;
        started
    }
}
