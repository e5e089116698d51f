//! What a process holds open.

use anyhow::{Context, Result};

/// How many file descriptors a process has.
pub fn open(process: u32) -> Result<usize> {
    Ok(std::fs::read_dir(format!("/proc/{process}/fd")).context("the process has ended")?.count())
}
