//! Runs a check over its inputs and tallies the findings, for the program of this crate and its tests.
//!
//! The numbers of the inputs are divided into blocks, and each worker thread takes the next block. A panic becomes a finding. The
//! thread that called [`Target::run`] watches the workers: an input that takes longer than `INPUT_TIMEOUT` is an error.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

use crate::finding::{Failure, observe};
use crate::inputs::Inputs;
use crate::{CHECKS, Check};

/// The maximum number of inputs in a block.
const MAX_BLOCK_INPUTS: u64 = 4096;

/// The maximum duration of one input, long enough for a busy machine.
const INPUT_TIMEOUT: Duration = Duration::from_secs(60);

/// The interval at which the workers are checked.
const WATCH_INTERVAL: Duration = Duration::from_secs(1);

/// A check with its inputs and their tally.
#[derive(Debug)]
pub struct Target {
    /// The name of the check.
    pub name: &'static str,
    /// The check.
    pub check: Check,
    /// The tally of the inputs so far.
    pub tally: Tally,
    inputs: Arc<Inputs>,
}

/// The number of inputs, their time and their findings.
#[derive(Debug, Default)]
pub struct Tally {
    /// The number of inputs.
    pub inputs: u64,
    /// The CPU time of all inputs, added over the workers.
    pub time: Duration,
    /// The duration of the slowest input.
    pub slowest: Duration,
    /// The findings, by the location of the panic.
    pub findings: BTreeMap<String, Finding>,
}

/// The inputs that fail at one location.
#[derive(Debug)]
pub struct Finding {
    /// The panic of the shortest input.
    pub failure: Failure,
    /// The shortest input.
    pub input: Vec<u8>,
    /// The number of inputs.
    pub count: u64,
}

/// An input that takes too long. Its thread runs until the process ends.
#[derive(Debug, thiserror::Error)]
#[error("an input takes more than {} s", INPUT_TIMEOUT.as_secs())]
pub struct TimedOut(pub Vec<u8>);

impl Target {
    /// Opens the target with this name. All inputs except the committed seeds depend on `seed`.
    ///
    /// # Errors
    /// If no check has this name, or its corpus cannot be read.
    pub fn open(name: &str, seed: u64) -> io::Result<Target> {
        let known = CHECKS.into_iter().find(|(known, _)| *known == name);
        let unknown = || {
            io::Error::new(
                io::ErrorKind::NotFound,
                format!("{name}: unknown target; use the name of a folder in fuzz/corpus"),
            )
        };
        let (name, check) = known.ok_or_else(unknown)?;
        Ok(Target { name, check, tally: Tally::default(), inputs: Arc::new(Inputs::read(name, seed)?) })
    }

    /// Runs the next `count` inputs.
    ///
    /// # Errors
    /// The first input that takes too long.
    pub fn run(&mut self, count: u64, threads: usize) -> Result<(), TimedOut> {
        let (first, end) = (self.tally.inputs, self.tally.inputs + count);
        let block = (count / threads as u64).clamp(1, MAX_BLOCK_INPUTS);
        let next = Arc::new(AtomicU64::new(first));
        let (sender, tallies) = channel();
        let mut watched: Vec<_> = (0..threads)
            .map(|_| {
                let (check, inputs, next, sender) = (self.check, self.inputs.clone(), next.clone(), sender.clone());
                let current = Arc::new(AtomicU64::new(first));
                let worker = Worker { check, inputs, current: current.clone() };
                // Rust prints the name of a thread whose stack overflows, which cannot be caught.
                let thread = thread::Builder::new().name(self.name.to_owned());
                thread.spawn(move || worker.run(&next, block, end, &sender)).expect("a thread");
                (current, first, Instant::now())
            })
            .collect();
        drop(sender);
        loop {
            match tallies.recv_timeout(WATCH_INTERVAL) {
                Ok(tally) => self.tally.add(tally),
                Err(RecvTimeoutError::Disconnected) => return Ok(()),
                Err(RecvTimeoutError::Timeout) => {}
            }
            for (current, seen, since) in &mut watched {
                let now = current.load(Ordering::Relaxed);
                if now != *seen {
                    (*seen, *since) = (now, Instant::now());
                } else if now < end && since.elapsed() > INPUT_TIMEOUT {
                    let mut input = Vec::new();
                    self.inputs.make(now, &mut input);
                    return Err(TimedOut(input));
                }
            }
        }
    }
}

struct Worker {
    check: Check,
    inputs: Arc<Inputs>,
    /// The number of the input that runs.
    current: Arc<AtomicU64>,
}

impl Worker {
    /// Runs blocks until none is left, and sends the tally of each.
    fn run(&self, next: &AtomicU64, block: u64, end: u64, sender: &Sender<Tally>) {
        let mut input = Vec::new();
        loop {
            let start = next.fetch_add(block, Ordering::Relaxed);
            if start >= end {
                return self.current.store(end, Ordering::Relaxed);
            }
            let mut tally = Tally::default();
            let began = cpu_time();
            let mut before = Instant::now();
            for number in start..end.min(start + block) {
                self.current.store(number, Ordering::Relaxed);
                self.inputs.make(number, &mut input);
                if let Some(failure) = observe(self.check, &input) {
                    let finding = Finding { failure, input: input.clone(), count: 1 };
                    tally.record(finding);
                }
                let now = Instant::now();
                tally.slowest = tally.slowest.max(now - before);
                tally.inputs += 1;
                before = now;
            }
            tally.time = cpu_time().saturating_sub(began);
            // The receiver is gone if an input of another worker timed out.
            if sender.send(tally).is_err() {
                return;
            }
        }
    }
}

/// Returns the CPU time of this thread, which other processes do not affect, or 0 if the system does not report it.
fn cpu_time() -> Duration {
    let statistics = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    let nanoseconds = statistics.split(' ').next().and_then(|first| first.parse().ok());
    Duration::from_nanos(nanoseconds.unwrap_or(0))
}

impl Tally {
    /// Returns the number of inputs for each second of CPU time.
    pub fn speed(&self) -> f64 {
        self.inputs as f64 / self.time.as_secs_f64().max(1e-3)
    }

    fn add(&mut self, other: Tally) {
        self.inputs += other.inputs;
        self.time += other.time;
        self.slowest = self.slowest.max(other.slowest);
        other.findings.into_values().for_each(|finding| self.record(finding));
    }

    fn record(&mut self, found: Finding) {
        match self.findings.get_mut(&found.failure.location) {
            None => drop(self.findings.insert(found.failure.location.clone(), found)),
            Some(known) => {
                let count = known.count + found.count;
                // The order of the workers must not decide between equally short inputs.
                if (found.input.len(), &found.input) < (known.input.len(), &known.input) {
                    *known = found;
                }
                known.count = count;
            }
        }
    }
}
