//! Counts instructions with hardware counters: two for each thread of a process, inherited by new threads. Most virtual machines
//! have no such counters, and not every user may count kernel instructions.

use anyhow::{Context, Result};
use perf_event::events::Hardware;
use perf_event::{Builder, Counter};

/// The instructions of a process.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Instructions {
    /// The instructions of user code.
    pub user: f64,
    /// The instructions of user code and the kernel, or `None` if the kernel must not be counted.
    pub total: Option<f64>,
}

/// The hardware counters of one process.
pub struct Counters {
    user: Vec<Counter>,
    total: Option<Vec<Counter>>,
}

/// Returns whether this machine has counters.
pub fn available() -> bool {
    i32::try_from(std::process::id()).is_ok_and(|process| open(process, false).is_ok())
}

impl Counters {
    /// Starts counting. Threads that counted threads start are counted too.
    pub fn attach(process: u32) -> Result<Self> {
        let threads = threads(process)?;
        let all = |kernel| -> Result<Vec<Counter>> { threads.iter().map(|thread| open(*thread, kernel)).collect() };
        Ok(Self { user: all(false)?, total: all(true).ok() })
    }

    /// Returns the counts so far.
    pub fn read(&mut self) -> Result<Instructions> {
        let total = self.total.as_mut().map(|counters| sum(counters)).transpose()?;
        Ok(Instructions { user: sum(&mut self.user)?, total })
    }
}

impl Instructions {
    /// Returns the difference to an earlier reading, divided by `count`.
    pub fn since(self, before: Self, count: usize) -> Self {
        let per = |now: f64, then: f64| (now - then) / count as f64;
        Self {
            user: per(self.user, before.user),
            total: self.total.zip(before.total).map(|(now, then)| per(now, then)),
        }
    }
}

fn open(thread: i32, kernel: bool) -> Result<Counter> {
    let mut counter = Builder::new(Hardware::INSTRUCTIONS)
        .observe_pid(thread)
        .any_cpu()
        .inherit(true)
        .exclude_kernel(!kernel)
        .exclude_hv(true)
        .build()
        .context("this machine has no instruction counter")?;
    counter.enable()?;
    Ok(counter)
}

/// Returns the sum of counters. The count of a counter that ran only part of the time is scaled up, as `perf stat` does.
fn sum(counters: &mut [Counter]) -> Result<f64> {
    let mut sum = 0.0;
    for counter in counters {
        let data = counter.read_full()?;
        let share = match (data.time_enabled(), data.time_running()) {
            (Some(enabled), Some(running)) if !running.is_zero() => enabled.as_secs_f64() / running.as_secs_f64(),
            _ => 1.0,
        };
        sum += data.count() as f64 * share;
    }
    Ok(sum)
}

fn threads(process: u32) -> Result<Vec<i32>> {
    let mut threads = Vec::new();
    for entry in std::fs::read_dir(format!("/proc/{process}/task")).context("the process has ended")? {
        threads.push(entry?.file_name().to_string_lossy().parse().context("an invalid thread id")?);
    }
    Ok(threads)
}
