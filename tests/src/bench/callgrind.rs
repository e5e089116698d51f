//! Counts instructions with valgrind's callgrind: user code only, but exactly repeatable and on any machine. Counting is off
//! until [`Callgrind::begin`], so that thousands of clients connect in seconds.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

/// Returns whether this machine has valgrind.
pub fn available() -> bool {
    ["valgrind", "vgdb"].iter().all(|tool| Command::new(tool).arg("--version").output().is_ok())
}

/// The instructions of a measurement.
#[derive(Debug, Clone, PartialEq)]
pub struct Profile {
    /// All instructions.
    pub instructions: u64,
    /// The instructions of each function without its callees, in descending order.
    pub functions: Vec<(String, u64)>,
}

/// A process that runs under callgrind.
pub struct Callgrind {
    process: u32,
    output: PathBuf,
    dumps: u32,
}

/// Returns a command that runs `program` under callgrind. It writes its counts to files with the prefix `output`.
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
    /// Attaches to a process that was started with [`command`] and the same `output`.
    pub fn attach(process: u32, output: &Path) -> Self {
        Self { process, output: output.to_owned(), dumps: 0 }
    }

    /// Starts counting from 0.
    pub fn begin(&self) -> Result<()> {
        self.run_vgdb("instrumentation on")?;
        self.run_vgdb("zero")
    }

    /// Stops counting and returns the counts since [`Self::begin`].
    pub fn end(&mut self) -> Result<Profile> {
        self.run_vgdb("dump")?;
        self.dumps += 1;
        let path = self.output.with_extension(format!("{}.{}", extension(&self.output), self.dumps));
        let dump = std::fs::read_to_string(&path).with_context(|| format!("callgrind wrote no {}", path.display()))?;
        self.run_vgdb("instrumentation off")?;
        parse_dump(&dump)
    }

    fn run_vgdb(&self, command: &str) -> Result<()> {
        let mut vgdb = Command::new("vgdb");
        vgdb.arg(format!("--vgdb-prefix={}", pipes(&self.output))).arg(format!("--pid={}", self.process));
        let output = vgdb.args(command.split(' ')).output()?;
        if !output.status.success() {
            bail!("callgrind command \"{command}\" failed: {}", String::from_utf8_lossy(&output.stderr));
        }
        Ok(())
    }
}

/// Returns the prefix of the pipes to callgrind, in the folder of its output.
fn pipes(output: &Path) -> String {
    output.with_extension("pipe").display().to_string()
}

fn extension(path: &Path) -> String {
    path.extension().map(|extension| extension.to_string_lossy().into_owned()).unwrap_or_default()
}

/// Parses a dump. `fn=(1) name` begins a function, and `fn=(1)` continues it. A line of numbers is a position and its cost. The
/// line after `calls=` is the cost of a callee, which counts there.
fn parse_dump(dump: &str) -> Result<Profile> {
    let mut names: HashMap<&str, &str> = HashMap::new();
    let mut costs: HashMap<&str, u64> = HashMap::new();
    let (mut function, mut called) = ("", false);
    let mut sum = None;
    for line in dump.lines() {
        if let Some(total) = line.strip_prefix("summary:").or_else(|| line.strip_prefix("totals:")) {
            sum = sum.or(total.trim().parse().ok());
        } else if let Some(name) = line.strip_prefix("fn=") {
            function = function_id(name, &mut names);
        } else if let Some(name) = line.strip_prefix("cfn=") {
            function_id(name, &mut names);
        } else if line.starts_with("calls=") {
            called = true;
        } else if line.starts_with(|first: char| first.is_ascii_digit() || matches!(first, '+' | '-' | '*')) {
            let cost = line.split(' ').nth(1).and_then(|cost| cost.parse::<u64>().ok()).unwrap_or_default();
            if !std::mem::take(&mut called) {
                *costs.entry(function).or_default() += cost;
            }
        }
    }
    let mut functions: Vec<(String, u64)> =
        costs.iter().map(|(id, cost)| ((*names.get(id).unwrap_or(id)).to_owned(), *cost)).collect();
    functions.sort_by(|one, other| other.1.cmp(&one.1).then_with(|| one.0.cmp(&other.0)));
    Ok(Profile { instructions: sum.context("no sum in callgrind's dump")?, functions })
}

/// Returns the id of a function, and records its name if it is given.
fn function_id<'a>(text: &'a str, names: &mut HashMap<&'a str, &'a str>) -> &'a str {
    let (id, name) = text.split_once(' ').unwrap_or((text, ""));
    if !name.is_empty() {
        names.insert(id, name);
    }
    id
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parse_dump_counts_only_self_cost_per_function() {
        let dump = "version: 1\npositions: line\nevents: Ir\nsummary: 60\n\nfl=(1) a.rs\nfn=(1) first\n10 5\n+2 7\n\
            cfn=(2) second\ncalls=3 0\n* 40\n\nfn=(2)\n20 40\nfn=(1)\n-1 8\n\ntotals: 60\n";
        let functions = vec![("second".to_owned(), 40), ("first".to_owned(), 20)];
        assert_eq!(parse_dump(dump).unwrap(), Profile { instructions: 60, functions });
        assert!(parse_dump("events: Ir\n").is_err());
    }
}
