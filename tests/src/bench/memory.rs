//! The memory of a process: its anonymous resident pages (`RssAnon`).

use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

/// The interval between two readings.
const POLL_INTERVAL: Duration = Duration::from_millis(100);

/// The number of equal readings in a row that count as settled.
const EQUAL_READINGS: usize = 20;

/// The timeout of [`settled_bytes`].
const SETTLE_TIMEOUT: Duration = Duration::from_secs(60);

/// Waits until the anonymous memory of a process does not change any more, and returns its bytes.
pub fn settled_bytes(process: u32) -> Result<u64> {
    let deadline = Instant::now() + SETTLE_TIMEOUT;
    let (mut last, mut equal) = (anonymous_bytes(process)?, 1);
    while equal < EQUAL_READINGS {
        if Instant::now() > deadline {
            bail!("the memory of process {process} did not settle within {SETTLE_TIMEOUT:?}");
        }
        std::thread::sleep(POLL_INTERVAL);
        let now = anonymous_bytes(process)?;
        equal = if now == last { equal + 1 } else { 1 };
        last = now;
    }
    Ok(last)
}

/// Returns the bytes of anonymous memory of a process.
pub fn anonymous_bytes(process: u32) -> Result<u64> {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).context("the process has ended")?;
    let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:")).context("no RssAnon in its status")?;
    let kilobytes: u64 = line.trim().trim_end_matches(" kB").parse().context("an invalid RssAnon")?;
    Ok(kilobytes * 1024)
}
