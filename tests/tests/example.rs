//! The first push of the README, and the example of the documentation in both modes: a push arrives, and no process or file remains.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use notification_hub_tests::process::Process;
use notification_hub_tests::{programs, wait};
use rustix::process::Signal;
use tempfile::TempDir;

/// The timeout of the example, which takes a few seconds.
const EXAMPLE_TIMEOUT: Duration = Duration::from_secs(90);

/// The timeout of the end of its processes. The hub drains its clients first.
const WAIT_TIMEOUT: Duration = Duration::from_secs(20);

/// Starts the example in a mode, with a folder for its temporary files.
fn start(mode: &str, folder: &TempDir) -> Result<Process> {
    let mut command = Command::new(Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/example/run.sh"));
    command.arg(mode).env("HUB", programs::find("notification-hub")?).env("TMPDIR", folder.path());
    Process::start(&command)
}

/// Returns the processes that have a file of a folder open. All processes of the example do.
fn processes_in(folder: &Path) -> Vec<PathBuf> {
    let entries = |path: &Path| std::fs::read_dir(path).into_iter().flatten().flatten().map(|entry| entry.path());
    // The files of ended processes and of other users cannot be read.
    let holds = |process: &PathBuf| {
        let mut files = entries(&process.join("fd"));
        files.any(|file| std::fs::read_link(file).is_ok_and(|target| target.starts_with(folder)))
    };
    entries(Path::new("/proc")).filter(holds).collect()
}

/// Waits until no process has a file of the folder open.
fn wait_no_process(folder: &TempDir) -> Result<()> {
    wait::until("the example's processes end", WAIT_TIMEOUT, || {
        let left = processes_in(folder.path());
        ensure!(left.is_empty(), "{left:?}");
        Ok(())
    })
}

#[test]
fn first_push_arrives_and_nothing_remains() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let mut command = Command::new(Path::new(env!("CARGO_MANIFEST_DIR")).join("first-push.sh"));
    command.env("HUB", programs::find("notification-hub")?).env("TMPDIR", folder.path());
    let mut script = Process::start(&command)?;
    let arrived = script.json("push", EXAMPLE_TIMEOUT, |line| line["target"] == "ReceiveMessage")?;
    let status = script.wait(WAIT_TIMEOUT)?;
    let printed = script.printed();
    ensure!(status.success(), "{status}:\n{printed}");
    let user = arrived["arguments"][0]["Payload"]["UserId"].as_str().context("no user")?;
    ensure!(printed.contains(&format!("A client is connected as the user {user}\n")), "{printed}");
    ensure!(folder.path().read_dir()?.next().is_none(), "temporary files are left");
    wait_no_process(&folder)
}

/// Runs the example in a mode. `source` is a line that must be printed.
fn check_mode(mode: &str, source: &str) -> Result<()> {
    let folder = tempfile::tempdir()?;
    let mut example = start(mode, &folder)?;
    let arrived = example.json("push", EXAMPLE_TIMEOUT, |line| line["target"] == "ReceiveMessage")?;
    let status = example.wait(WAIT_TIMEOUT)?;
    let printed = example.printed();
    ensure!(status.success(), "{status}:\n{printed}");
    let push = &arrived["arguments"][0];
    let user = push["Payload"]["UserId"].as_str().context("no user")?;
    ensure!(push["Type"] == 0 && printed.contains(&format!("as the user {user}\n")), "{printed}");
    ensure!(printed.contains(source), "no {source} in\n{printed}");
    ensure!(folder.path().read_dir()?.next().is_none(), "temporary files are left");
    wait_no_process(&folder)
}

#[test]
fn example_queue_mode_delivers_a_push() -> Result<()> {
    check_mode("queue", "source.kind = azure_queue  # globalSettings__notifications__connectionString\n")
}

#[test]
fn example_direct_mode_delivers_a_push() -> Result<()> {
    check_mode("direct", "listen.send_on_public = true  # globalSettings__selfHosted\n")
}

#[test]
fn example_interrupted_leaves_no_process() -> Result<()> {
    for signal in [Signal::TERM, Signal::KILL] {
        let folder = tempfile::tempdir()?;
        let mut example = start("queue", &folder)?;
        example.line("step with the hub", EXAMPLE_TIMEOUT, |line| line.starts_with("4.").then_some(()))?;
        ensure!(processes_in(folder.path()).len() > 2, "the example does not run");
        example.signal(signal)?;
        ensure!(!example.wait(WAIT_TIMEOUT)?.success(), "it ended with success");
        wait_no_process(&folder)?;
    }
    Ok(())
}
