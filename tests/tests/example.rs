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

/// Starts a script with a folder for its temporary files.
fn start(script: PathBuf, arguments: &[&str], folder: &TempDir) -> Result<Process> {
    let mut command = Command::new(script);
    command.args(arguments).env("HUB", programs::find("notification-hub")?).env("TMPDIR", folder.path());
    Process::start(&command)
}

/// Starts the example in a mode.
fn start_example(mode: &str, folder: &TempDir) -> Result<Process> {
    start(Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/example/run.sh"), &[mode], folder)
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

/// Runs a script, started with a folder for its temporary files, and waits for a push of a type and for the script's end. Fails
/// unless `expected` is printed, and if a process or a file remains.
fn check_push(start: impl Fn(&TempDir) -> Result<Process>, push_type: u8, expected: &str) -> Result<()> {
    let folder = tempfile::tempdir()?;
    let mut script = start(&folder)?;
    let arrived = script.json("push", EXAMPLE_TIMEOUT, |line| line["target"] == "ReceiveMessage")?;
    let status = script.wait(WAIT_TIMEOUT)?;
    let printed = script.printed();
    ensure!(status.success(), "{status}:\n{printed}");
    let push = &arrived["arguments"][0];
    let user = push["Payload"]["UserId"].as_str().context("no user")?;
    ensure!(push["Type"] == push_type && printed.contains(&format!("as the user {user}\n")), "{printed}");
    ensure!(printed.contains(expected), "no {expected} in\n{printed}");
    ensure!(folder.path().read_dir()?.next().is_none(), "temporary files are left");
    wait_no_process(&folder)
}

#[test]
fn first_push_arrives_and_nothing_remains() -> Result<()> {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("first-push.sh");
    check_push(|folder| start(script.clone(), &[], folder), 5, "The client has received the push:\n")
}

#[test]
fn example_queue_mode_delivers_a_push() -> Result<()> {
    let source = "source.kind = azure_queue  # globalSettings__notifications__connectionString\n";
    check_push(|folder| start_example("queue", folder), 0, source)
}

#[test]
fn example_direct_mode_delivers_a_push() -> Result<()> {
    let source = "listen.send_on_public = true  # globalSettings__selfHosted\n";
    check_push(|folder| start_example("direct", folder), 0, source)
}

#[test]
fn example_interrupted_leaves_no_process() -> Result<()> {
    for signal in [Signal::TERM, Signal::KILL] {
        let folder = tempfile::tempdir()?;
        let mut example = start_example("queue", &folder)?;
        example.line("step with the hub", EXAMPLE_TIMEOUT, |line| line.starts_with("4.").then_some(()))?;
        ensure!(processes_in(folder.path()).len() > 2, "the example does not run");
        example.signal(signal)?;
        ensure!(!example.wait(WAIT_TIMEOUT)?.success(), "it ended with success");
        wait_no_process(&folder)?;
    }
    Ok(())
}
