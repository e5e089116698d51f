//! Instructions, counted by valgrind's callgrind: of the program's own code only, but repeatable to the digit and on any machine.
//! Counting is off until [`Callgrind::begin`], so that connecting thousands of clients takes seconds.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

/// Whether this machine has it.
pub fn available() -> bool {
    ["valgrind", "vgdb"].iter().all(|tool| Command::new(tool).arg("--version").output().is_ok())
}

/// The counts of one process that runs under callgrind.
pub struct Callgrind {
    process: u32,
    output: PathBuf,
    dumps: u32,
}

/// `program` under callgrind, whose counts go to files that begin with `output`.
pub fn command(program: &Path, output: &Path) -> Command {
    let mut command = Command::new("valgrind");
    command
        .args(["--tool=callgrind", "--quiet", "--instr-atstart=no", "--vgdb=yes"])
        .arg(format!("--callgrind-out-file={}", output.display()))
        .arg(format!("--vgdb-prefix={}", pipes(output)))
        .arg(program);
    command
}

impl Callgrind {
    /// The counts of a process started with [`command`] and the same `output`.
    pub fn attach(process: u32, output: &Path) -> Self {
        Self { process, output: output.to_owned(), dumps: 0 }
    }

    /// Starts to count, from nought.
    pub fn begin(&self) -> Result<()> {
        self.ask("instrumentation on")?;
        self.ask("zero")
    }

    /// Ends counting; gives the instructions since [`Self::begin`].
    pub fn end(&mut self) -> Result<u64> {
        self.ask("dump")?;
        self.dumps += 1;
        let path = self.output.with_extension(format!("{}.{}", extension(&self.output), self.dumps));
        let dump = std::fs::read_to_string(&path).with_context(|| format!("callgrind wrote no {}", path.display()))?;
        self.ask("instrumentation off")?;
        let sum = dump.lines().find_map(|line| line.strip_prefix("summary:").or_else(|| line.strip_prefix("totals:")));
        sum.and_then(|sum| sum.trim().parse().ok()).context("no sum in callgrind's dump")
    }

    fn ask(&self, what: &str) -> Result<()> {
        let mut vgdb = Command::new("vgdb");
        vgdb.arg(format!("--vgdb-prefix={}", pipes(&self.output))).arg(format!("--pid={}", self.process));
        let output = vgdb.args(what.split(' ')).output()?;
        if !output.status.success() {
            bail!("callgrind did not do \"{what}\": {}", String::from_utf8_lossy(&output.stderr));
        }
        Ok(())
    }
}

/// Where the pipes to callgrind are: beside its output, to go with it.
fn pipes(output: &Path) -> String {
    output.with_extension("pipe").display().to_string()
}

fn extension(path: &Path) -> String {
    path.extension().map(|extension| extension.to_string_lossy().into_owned()).unwrap_or_default()
}
