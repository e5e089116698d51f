//! A child process with captured output. `setpriv` makes the kernel kill it when the thread that started it ends, so it never
//! outlives its parent.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::SocketAddr;
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

/// The interval at which the end of a process is polled.
const POLL_INTERVAL: Duration = Duration::from_millis(20);

/// A running child, killed and reaped on drop.
pub struct Process {
    child: Child,
    stdin: Option<ChildStdin>,
    output: Arc<Output>,
    name: String,
}

#[derive(Default)]
/// The captured output, shared with the threads that read the pipes.
struct Output {
    lines: Mutex<Lines>,
    changed: Condvar,
}

#[derive(Default)]
struct Lines {
    stdout: Vec<String>,
    stderr: Vec<String>,
    /// The number of pipes that have not ended.
    open: u8,
}

impl Process {
    /// Starts a command with an open standard input and captured output.
    pub fn start(command: &Command) -> Result<Self> {
        let name = command.get_program().to_string_lossy().into_owned();
        let mut wrapped = Command::new("setpriv");
        wrapped.args(["--pdeathsig", "KILL", "--"]).arg(command.get_program()).args(command.get_args());
        for (key, value) in command.get_envs() {
            match value {
                Some(value) => wrapped.env(key, value),
                None => wrapped.env_remove(key),
            };
        }
        if let Some(folder) = command.get_current_dir() {
            wrapped.current_dir(folder);
        }
        wrapped.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = wrapped.spawn().with_context(|| format!("cannot start {name}"))?;
        let output = Arc::new(Output { lines: Mutex::new(Lines { open: 2, ..Lines::default() }), ..Output::default() });
        capture(child.stdout.take(), &output, |lines| &mut lines.stdout);
        capture(child.stderr.take(), &output, |lines| &mut lines.stderr);
        Ok(Self { stdin: child.stdin.take(), child, output, name })
    }

    /// Returns the id of the process.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Waits for a line on standard output for which `pick` returns a value, and returns that value. `what` names it in errors.
    pub fn line<T>(&self, what: &str, within: Duration, mut pick: impl FnMut(&str) -> Option<T>) -> Result<T> {
        let deadline = Instant::now() + within;
        let mut lines = self.output.lines.lock().unwrap_or_else(PoisonError::into_inner);
        let mut seen = 0;
        loop {
            while let Some(line) = lines.stdout.get(seen) {
                seen += 1;
                if let Some(found) = pick(line) {
                    return Ok(found);
                }
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() || lines.open == 0 {
                let reason = if left.is_zero() { "in time" } else { "before its output ended" };
                bail!("{} printed no {what} {reason}; its output:\n{}", self.name, lines.text());
            }
            lines = self.output.changed.wait_timeout(lines, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Waits for a line on standard output whose JSON `pick` accepts, and returns it.
    pub fn json(&self, what: &str, within: Duration, mut pick: impl FnMut(&Value) -> bool) -> Result<Value> {
        self.line(what, within, |line| serde_json::from_str(line).ok().filter(|value| pick(value)))
    }

    /// Waits for the line that a server prints when it listens, and returns the address of the listener `name`.
    pub fn listening(&self, name: &str, within: Duration) -> Result<SocketAddr> {
        let line = self.json("line with its addresses", within, |value| value.get("listening").is_some())?;
        let address = line["listening"][name].as_str().ok_or_else(|| anyhow!("no listener {name} in {line}"))?;
        address.parse().with_context(|| format!("{address} is no address"))
    }

    /// Returns the output so far, standard output first.
    pub fn printed(&self) -> String {
        self.output.lines.lock().unwrap_or_else(PoisonError::into_inner).text()
    }

    /// Returns the lines of standard output so far.
    pub fn stdout(&self) -> Vec<String> {
        self.output.lines.lock().unwrap_or_else(PoisonError::into_inner).stdout.clone()
    }

    /// Writes a line to standard input.
    pub fn write_line(&mut self, line: &str) -> Result<()> {
        let stdin = self.stdin.as_mut().with_context(|| format!("the input of {} has ended", self.name))?;
        writeln!(stdin, "{line}").with_context(|| format!("{} does not read", self.name))
    }

    /// Closes standard input.
    pub fn end_input(&mut self) {
        self.stdin = None;
    }

    /// Sends a signal.
    pub fn signal(&self, signal: Signal) -> Result<()> {
        let id = Pid::from_raw(self.id().try_into()?).ok_or_else(|| anyhow!("no process id"))?;
        kill_process(id, signal).with_context(|| format!("cannot signal {}", self.name))
    }

    /// Waits for the end of the process and of its output.
    pub fn wait(&mut self, within: Duration) -> Result<ExitStatus> {
        let deadline = Instant::now() + within;
        let status = loop {
            if let Some(status) = self.child.try_wait()? {
                break status;
            }
            if Instant::now() > deadline {
                bail!("{} did not end within {within:?}; its output:\n{}", self.name, self.printed());
            }
            std::thread::sleep(POLL_INTERVAL);
        };
        let mut lines = self.output.lines.lock().unwrap_or_else(PoisonError::into_inner);
        while lines.open > 0 && Instant::now() < deadline {
            lines = self.output.changed.wait_timeout(lines, POLL_INTERVAL).unwrap_or_else(PoisonError::into_inner).0;
        }
        Ok(status)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Both fail only if the process has ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Lines {
    fn text(&self) -> String {
        let mut text = String::new();
        for line in self.stdout.iter().chain(&self.stderr) {
            text.push_str(line);
            text.push('\n');
        }
        text
    }
}

/// Reads a pipe to its end on a thread of its own, so that the child never blocks on a full pipe.
fn capture(pipe: Option<impl Read + Send + 'static>, output: &Arc<Output>, select: fn(&mut Lines) -> &mut Vec<String>) {
    let output = Arc::clone(output);
    std::thread::spawn(move || {
        if let Some(pipe) = pipe {
            let mut reader = BufReader::new(pipe);
            let mut line = Vec::new();
            while reader.read_until(b'\n', &mut line).is_ok_and(|read| read > 0) {
                let text = String::from_utf8_lossy(&line).trim_end_matches('\n').to_owned();
                select(&mut output.lines.lock().unwrap_or_else(PoisonError::into_inner)).push(text);
                output.changed.notify_all();
                line.clear();
            }
        }
        output.lines.lock().unwrap_or_else(PoisonError::into_inner).open -= 1;
        output.changed.notify_all();
    });
}
