//! Runs the checks over many inputs, on all cores, and prints a table of the inputs and findings.

use std::io;
use std::path::PathBuf;
use std::process::ExitCode;
use std::thread::available_parallelism;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use clap::Parser;
use notification_hub_properties::CHECKS;
use notification_hub_properties::finding::minimize;
use notification_hub_properties::inputs::fuzz_folder;
use notification_hub_properties::random::Random;
use notification_hub_properties::target::Target;

/// Run the checks of this crate over seeds, mutations of these, and noise.
#[derive(Parser)]
struct Options {
    /// Targets to run [default: all]
    targets: Vec<String>,
    /// Number of inputs of all targets; inputs above the minimum are shared so that each target takes the same time
    #[arg(long, default_value_t = 1_000_000_000)]
    inputs: u64,
    /// Minimum number of inputs of each target
    #[arg(long, default_value_t = 10_000_000)]
    minimum: u64,
    /// Seed of the inputs, to repeat a run [default: the time]
    #[arg(long)]
    seed: Option<u64>,
    /// Number of threads [default: one for each core]
    #[arg(long)]
    threads: Option<usize>,
}

fn main() -> io::Result<ExitCode> {
    let Options { targets: names, inputs, minimum, seed, threads } = Options::parse();
    let seed = seed.unwrap_or_else(|| SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs());
    let threads = threads.map_or_else(available_parallelism, |threads| threads.try_into().map_err(io::Error::other))?;
    println!("--seed {seed} --inputs {inputs} --minimum {minimum}, {threads} threads");
    let all = CHECKS.map(|(name, _)| name.to_owned());
    let names = if names.is_empty() { &all } else { names.as_slice() };
    let mut targets = names.iter().map(|name| Target::open(name, seed)).collect::<io::Result<Vec<_>>>()?;

    let began = Instant::now();
    for target in &mut targets {
        run(target, minimum, threads.get())?;
        eprintln!("{}: {:.0} inputs a second on one core", target.name, target.tally.speed());
    }
    let rest = inputs.saturating_sub(minimum * targets.len() as u64);
    let speed: f64 = targets.iter().map(|target| target.tally.speed()).sum();
    for target in &mut targets {
        let share = rest as f64 * target.tally.speed() / speed;
        run(target, share.ceil() as u64, threads.get())?;
    }

    let found = report(&targets)?;
    let inputs: u64 = targets.iter().map(|target| target.tally.inputs).sum();
    println!("{inputs} inputs in {} s, {found} findings", began.elapsed().as_secs());
    Ok(if found == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn run(target: &mut Target, count: u64, threads: usize) -> io::Result<()> {
    target.run(count, threads).map_err(|timed_out| match save(target.name, &timed_out.0) {
        Ok(path) => io::Error::other(format!("{}: {timed_out}: {}", target.name, path.display())),
        Err(error) => error,
    })
}

/// Prints a table of the targets, then saves and prints the input of each finding. Returns the number of findings.
fn report(targets: &[Target]) -> io::Result<usize> {
    println!("{:<22}{:>12}{:>14}{:>12}{:>10}", "target", "inputs", "per core s", "slowest", "findings");
    for Target { name, tally, .. } in targets {
        let (speed, slowest) = (tally.speed().round(), milliseconds(tally.slowest));
        println!("{name:<22}{:>12}{speed:>14}{slowest:>12}{:>10}", tally.inputs, tally.findings.len());
    }
    let mut found = 0;
    for target in targets {
        for finding in target.tally.findings.values() {
            let failure = &finding.failure;
            let input = minimize(target.check, &finding.input, &failure.location);
            let path = save(target.name, &input)?;
            println!("\n{}: {} inputs fail at {}: {}", target.name, finding.count, failure.location, failure.message);
            println!("b\"{}\"\n{}", input.escape_ascii(), path.display());
            found += 1;
        }
    }
    Ok(found)
}

fn milliseconds(duration: Duration) -> String {
    format!("{:.1} ms", duration.as_secs_f64() * 1000.0)
}

/// Saves an input in the folder of libFuzzer's artifacts.
fn save(target: &str, input: &[u8]) -> io::Result<PathBuf> {
    let folder = fuzz_folder().join("artifacts").join(target);
    std::fs::create_dir_all(&folder)?;
    let path = folder.join(format!("found-{:016x}", Random::from_bytes(input).number()));
    std::fs::write(&path, input)?;
    Ok(path)
}
