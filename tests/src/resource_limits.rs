//! Limits of CPU and memory for a process, as a container has them (cgroups 1 and 2).

use std::path::PathBuf;

use anyhow::{Context, Result};
use uuid::Uuid;

const ROOT: &str = "/sys/fs/cgroup";

/// The period of a CPU quota, in microseconds.
const CPU_PERIOD: u64 = 100_000;

/// A control group in each hierarchy. They are removed on drop, after the end of their processes.
pub struct ResourceLimits {
    cpu: PathBuf,
    memory: PathBuf,
    is_unified: bool,
}

impl ResourceLimits {
    /// Creates groups with a limit of thousandths of a CPU and of bytes of memory. Returns `None` if this user cannot.
    pub fn create(milli_cpus: u64, memory: u64) -> Result<Option<Self>> {
        let name = format!("nhub-{}", Uuid::new_v4().simple());
        let root = PathBuf::from(ROOT);
        let is_unified = root.join("cgroup.controllers").exists();
        let (cpu, memory_group) = match is_unified {
            true => (root.join(&name), root.join(&name)),
            false => (root.join("cpu").join(&name), root.join("memory").join(&name)),
        };
        let limits = Self { cpu, memory: memory_group, is_unified };
        let folders = [&limits.cpu, &limits.memory];
        if folders.into_iter().any(|folder| std::fs::create_dir_all(folder).is_err()) {
            return Ok(None);
        }
        let quota = milli_cpus * CPU_PERIOD / 1000;
        match is_unified {
            true => {
                write(limits.cpu.join("cpu.max"), &format!("{quota} {CPU_PERIOD}"))?;
                write(limits.memory.join("memory.max"), &memory.to_string())?;
            }
            false => {
                write(limits.cpu.join("cpu.cfs_period_us"), &CPU_PERIOD.to_string())?;
                write(limits.cpu.join("cpu.cfs_quota_us"), &quota.to_string())?;
                write(limits.memory.join("memory.limit_in_bytes"), &memory.to_string())?;
            }
        }
        Ok(Some(limits))
    }

    /// Applies the limits to a process and its threads.
    pub fn apply(&self, process: u32) -> Result<()> {
        [&self.cpu, &self.memory]
            .into_iter()
            .try_for_each(|folder| write(folder.join("cgroup.procs"), &process.to_string()))
    }

    /// Returns the most memory that the processes have used, in bytes.
    pub fn peak_memory(&self) -> Result<u64> {
        let name = if self.is_unified { "memory.peak" } else { "memory.max_usage_in_bytes" };
        std::fs::read_to_string(self.memory.join(name))?.trim().parse().context(name)
    }
}

impl Drop for ResourceLimits {
    fn drop(&mut self) {
        for folder in [&self.cpu, &self.memory] {
            // In cgroups 2 both are one folder.
            let _ = std::fs::remove_dir(folder);
        }
    }
}

fn write(path: PathBuf, text: &str) -> Result<()> {
    std::fs::write(&path, text).with_context(|| path.display().to_string())
}
