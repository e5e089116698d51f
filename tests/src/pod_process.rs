//! The process of a pod, as its machine sees it: to be killed or frozen without a word to Kubernetes.

use std::fs;

use anyhow::{Context, Result};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

/// A process in a container on this machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PodProcess(Pid);

impl PodProcess {
    /// The one that runs a program in a pod.
    pub fn find(pod: &Value, program: &str) -> Result<Self> {
        let group = format!("pod{}", pod["metadata"]["uid"].as_str().context("no uid")?);
        let runs = |id: i32| {
            let of = |what: &str| format!("/proc/{id}/{what}");
            fs::read_to_string(of("cgroup")).is_ok_and(|groups| groups.contains(&group))
                && fs::read_link(of("exe")).is_ok_and(|file| file.ends_with(program))
        };
        let ids = fs::read_dir("/proc")?.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
        let id = ids.filter(|id| runs(*id)).find_map(Pid::from_raw);
        id.map(Self).with_context(|| format!("nothing in {group} runs {program}"))
    }

    /// Sends a signal.
    pub fn signal(self, signal: Signal) -> Result<()> {
        kill_process(self.0, signal).context("cannot signal it")
    }
}
