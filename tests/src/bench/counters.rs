//! Instructions, counted by the machine: two counters on every thread of a process, inherited by the threads to come. Not every
//! machine has them (most virtual ones do not), and not every user may count in the kernel.

use anyhow::{Context, Result};
use perf_event::events::Hardware;
use perf_event::{Builder, Counter};

/// Instructions of a process so far.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Instructions {
    /// Those of its own code.
    pub user: f64,
    /// Those of the kernel too, where they may be counted.
    pub total: Option<f64>,
}

/// The counters of one process.
pub struct Counters {
    user: Vec<Counter>,
    total: Option<Vec<Counter>>,
}

/// Whether this machine counts instructions.
pub fn available() -> bool {
    i32::try_from(std::process::id()).is_ok_and(|process| open(process, false).is_ok())
}

impl Counters {
    /// Starts to count. Threads that are started meanwhile by threads already counted are counted too.
    pub fn attach(process: u32) -> Result<Self> {
        let threads = threads(process)?;
        let all = |kernel| -> Result<Vec<Counter>> { threads.iter().map(|thread| open(*thread, kernel)).collect() };
        Ok(Self { user: all(false)?, total: all(true).ok() })
    }

    /// What was counted so far.
    pub fn read(&mut self) -> Result<Instructions> {
        let total = self.total.as_mut().map(|counters| sum(counters)).transpose()?;
        Ok(Instructions { user: sum(&mut self.user)?, total })
    }
}

impl Instructions {
    /// What was counted between `before` and this reading, per `count`.
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
        .context("this machine does not count instructions")?;
    counter.enable()?;
    Ok(counter)
}

/// A counter that had to share the hardware ran for a part of the time only; its count is scaled up, as `perf stat` does.
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
        threads.push(entry?.file_name().to_string_lossy().parse().context("an odd thread id")?);
    }
    Ok(threads)
}
