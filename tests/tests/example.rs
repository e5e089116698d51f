//! The example of the documentation, in both of its modes: a push arrives, and nothing stays behind.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use notification_hub_tests::process::Process;
use notification_hub_tests::{programs, wait};
use rustix::process::Signal;
use tempfile::TempDir;

/// How long the example may take; it takes a few seconds.
const PATIENCE: Duration = Duration::from_secs(90);

/// How long its processes may take to end; the hub lets go of its clients first.
const SOON: Duration = Duration::from_secs(20);

/// The example in one of its modes, with a folder for its temporary files.
fn start(mode: &str, folder: &TempDir) -> Result<Process> {
    let mut command = Command::new(Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/example/run.sh"));
    command.arg(mode).env("HUB", programs::find("notification-hub")?).env("TMPDIR", folder.path());
    Process::start(&command)
}

/// The processes that have a file of a folder open, as all of the example's write to one.
fn processes_in(folder: &Path) -> Vec<PathBuf> {
    let entries = |path: &Path| std::fs::read_dir(path).into_iter().flatten().flatten().map(|entry| entry.path());
    // What has just ended, or belongs to somebody else, shows nothing.
    let holds = |process: &PathBuf| {
        let mut files = entries(&process.join("fd"));
        files.any(|file| std::fs::read_link(file).is_ok_and(|target| target.starts_with(folder)))
    };
    entries(Path::new("/proc")).filter(holds).collect()
}

fn nothing_left(folder: &TempDir) -> Result<()> {
    wait::until("the example's processes end", SOON, || {
        let left = processes_in(folder.path());
        ensure!(left.is_empty(), "{left:?}");
        Ok(())
    })
}

fn a_push_arrives(mode: &str, source: &str) -> Result<()> {
    let folder = tempfile::tempdir()?;
    let mut example = start(mode, &folder)?;
    let arrived = example.json("push", PATIENCE, |line| line["target"] == "ReceiveMessage")?;
    let status = example.wait(SOON)?;
    let printed = example.printed();
    ensure!(status.success(), "{status}:\n{printed}");
    let push = &arrived["arguments"][0];
    let user = push["Payload"]["UserId"].as_str().context("no user")?;
    ensure!(push["Type"] == 0 && printed.contains(&format!("as the user {user}\n")), "{printed}");
    ensure!(printed.contains(source), "no {source} in\n{printed}");
    ensure!(folder.path().read_dir()?.next().is_none(), "temporary files are left");
    nothing_left(&folder)
}

#[test]
fn example_queue_mode_delivers_a_push() -> Result<()> {
    a_push_arrives("queue", "source.kind = azure_queue  # globalSettings__notifications__connectionString\n")
}

#[test]
fn example_direct_mode_delivers_a_push() -> Result<()> {
    a_push_arrives("direct", "listen.send_on_public = true  # globalSettings__selfHosted\n")
}

#[test]
fn example_interrupted_leaves_no_process() -> Result<()> {
    for signal in [Signal::TERM, Signal::KILL] {
        let folder = tempfile::tempdir()?;
        let mut example = start("queue", &folder)?;
        example.line("step with the hub", PATIENCE, |line| line.starts_with("4.").then_some(()))?;
        ensure!(processes_in(folder.path()).len() > 2, "the example does not run");
        example.signal(signal)?;
        ensure!(!example.wait(SOON)?.success(), "it ended as if nothing had been");
        nothing_left(&folder)?;
    }
    Ok(())
}
