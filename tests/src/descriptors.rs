//! The file descriptors of a process.

use anyhow::{Context, Result};

/// Returns the number of open file descriptors of a process.
pub fn count(process: u32) -> Result<usize> {
    Ok(std::fs::read_dir(format!("/proc/{process}/fd")).context("the process has ended")?.count())
}
