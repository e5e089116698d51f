//! A check with its inputs and what came of them: the one loop that the program and the tests run.
//!
//! The numbers of the inputs are cut into blocks, and each worker takes the next block that is left. A panic becomes a
//! finding. The thread that called [`Target::run`] watches the workers: an input that does not end is an error.

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

/// The most inputs that a worker takes at once.
const MAX_BLOCK: u64 = 4096;

/// How long one input may take on a busy machine.
const MAX_TIME: Duration = Duration::from_secs(60);

/// How often workers are looked at.
const WATCH_INTERVAL: Duration = Duration::from_secs(1);

/// One check with its inputs.
#[derive(Debug)]
pub struct Target {
    /// Its name.
    pub name: &'static str,
    /// Panics for an input for which something does not hold.
    pub check: Check,
    /// What came of the inputs so far.
    pub tally: Tally,
    inputs: Arc<Inputs>,
}

/// What came of inputs.
#[derive(Debug, Default)]
pub struct Tally {
    /// How many there were.
    pub inputs: u64,
    /// The CPU time that they took, added over all workers.
    pub time: Duration,
    /// How long the slowest took.
    pub slowest: Duration,
    /// What was found, by the place of the panic.
    pub findings: BTreeMap<String, Finding>,
}

/// All inputs that fail at one place.
#[derive(Debug)]
pub struct Finding {
    /// The panic of the shortest one.
    pub failure: Failure,
    /// The shortest one.
    pub input: Vec<u8>,
    /// How many they are.
    pub count: u64,
}

/// An input that takes too long: only the end of the process ends its thread.
#[derive(Debug, thiserror::Error)]
#[error("an input takes more than {} s", MAX_TIME.as_secs())]
pub struct Endless(pub Vec<u8>);

impl Target {
    /// The target with this name; `seed` makes all of its inputs but the committed ones.
    ///
    /// # Errors
    /// If there is none, or its corpus cannot be read.
    pub fn open(name: &str, seed: u64) -> io::Result<Target> {
        let known = CHECKS.into_iter().find(|(known, _)| *known == name);
        let unknown = || io::Error::new(io::ErrorKind::NotFound, format!("{name}: there is no such target"));
        let (name, check) = known.ok_or_else(unknown)?;
        Ok(Target { name, check, tally: Tally::default(), inputs: Arc::new(Inputs::read(name, seed)?) })
    }

    /// Runs so many further inputs.
    ///
    /// # Errors
    /// The first input that takes too long.
    pub fn run(&mut self, count: u64, threads: usize) -> Result<(), Endless> {
        let (first, end) = (self.tally.inputs, self.tally.inputs + count);
        let block = (count / threads as u64).clamp(1, MAX_BLOCK);
        let next = Arc::new(AtomicU64::new(first));
        let (sender, tallies) = channel();
        let mut watched: Vec<_> = (0..threads)
            .map(|_| {
                let (check, inputs, next, sender) = (self.check, self.inputs.clone(), next.clone(), sender.clone());
                let current = Arc::new(AtomicU64::new(first));
                let worker = Worker { check, inputs, current: current.clone() };
                // The name is printed when a stack overflows, which nothing catches.
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
                } else if now < end && since.elapsed() > MAX_TIME {
                    let mut input = Vec::new();
                    self.inputs.make(now, &mut input);
                    return Err(Endless(input));
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
    /// Runs blocks until none is left, and sends what came of each.
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
            // Nobody listens any more if another worker's input does not end.
            if sender.send(tally).is_err() {
                return;
            }
        }
    }
}

/// Returns the CPU time of this thread, which is right on a busy machine as well, or 0 if the system does not tell.
fn cpu_time() -> Duration {
    let statistics = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    let nanoseconds = statistics.split(' ').next().and_then(|first| first.parse().ok());
    Duration::from_nanos(nanoseconds.unwrap_or(0))
}

impl Tally {
    /// Returns how many inputs one core does in a second.
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
                // Of equally short ones always the same, whichever worker is first.
                if (found.input.len(), &found.input) < (known.input.len(), &known.input) {
                    *known = found;
                }
                known.count = count;
            }
        }
    }
}
