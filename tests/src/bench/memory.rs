//! The memory of a process: its anonymous resident pages (`RssAnon`), read when they have stopped to change.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

const EVERY: Duration = Duration::from_millis(100);
/// This many equal readings, two seconds of them, count as settled.
const EQUAL: usize = 20;
const PATIENCE: Duration = Duration::from_secs(60);

/// The bytes of anonymous memory that a process has, once it has settled.
pub fn settled(process: u32) -> Result<u64> {
    let deadline = Instant::now() + PATIENCE;
    let (mut last, mut equal) = (anonymous(process)?, 1);
    while equal < EQUAL {
        if Instant::now() > deadline {
            bail!("the memory of process {process} did not settle within {PATIENCE:?}");
        }
        std::thread::sleep(EVERY);
        let now = anonymous(process)?;
        equal = if now == last { equal + 1 } else { 1 };
        last = now;
    }
    Ok(last)
}

/// The bytes of anonymous memory that a process has now.
pub fn anonymous(process: u32) -> Result<u64> {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).context("the process has ended")?;
    let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:")).context("no RssAnon in its status")?;
    let kilobytes: u64 = line.trim().trim_end_matches(" kB").parse().context("an odd RssAnon")?;
    Ok(kilobytes * 1024)
}
