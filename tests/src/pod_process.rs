//! A process of a pod on this machine, to kill or freeze it without Kubernetes.

use std::fs;

use anyhow::{Context, Result};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

/// A process in a container on this machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PodProcess(Pid);

impl PodProcess {
    /// Finds the process that runs a program in a pod.
    pub fn find(pod: &Value, program: &str) -> Result<Self> {
        let group = format!("pod{}", pod["metadata"]["uid"].as_str().context("no uid")?);
        let runs = |id: i32| {
            let path = |file: &str| format!("/proc/{id}/{file}");
            fs::read_to_string(path("cgroup")).is_ok_and(|groups| groups.contains(&group))
                && fs::read_link(path("exe")).is_ok_and(|file| file.ends_with(program))
        };
        let ids = fs::read_dir("/proc")?.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
        let id = ids.filter(|id| runs(*id)).find_map(Pid::from_raw);
        id.map(Self).with_context(|| format!("no process of {group} runs {program}"))
    }

    /// Sends a signal.
    pub fn signal(self, signal: Signal) -> Result<()> {
        kill_process(self.0, signal).context("cannot signal the process")
    }
}
