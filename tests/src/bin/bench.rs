//! `make bench`: measures the hub beside servers that only move bytes, prints a table and writes `target/bench.json`.
//!
//! `BENCH_QUICK=1` takes less of everything; `BENCH_ONLY` names the measurements to take, separated by commas; `BENCH_GATE=1`
//! makes a missed budget exit status 1; `BENCH_OUTPUT` names the file.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

use anyhow::Result;
use notification_hub_tests::bench::machine;
use notification_hub_tests::bench::meter::Means;
use notification_hub_tests::bench::report::Report;
use notification_hub_tests::bench::rows::{
    CONNECTIONS, Run, backlog, churn, connect, delivery, idle, idle_time, latency, ping, rate, scale_out,
    slow_consumers, slow_handshakes, storm, verification,
};
use notification_hub_tests::bench::server::Site;

type Measurement = fn(&Run, &mut Report) -> Result<()>;

/// All measurements, in the order of the table.
const MEASUREMENTS: [(&str, Measurement); 14] = [
    ("idle", idle::add),
    ("delivery", delivery::add),
    ("rate", rate::add),
    ("backlog", backlog::add),
    ("connect", connect::add),
    ("verification", verification::add),
    ("ping", ping::add),
    ("idle-time", idle_time::add),
    ("storm", storm::add),
    ("latency", latency::add),
    ("slow-handshakes", slow_handshakes::add),
    ("slow-consumers", slow_consumers::add),
    ("churn", churn::add),
    ("scale-out", scale_out::add),
];

fn main() -> Result<ExitCode> {
    // Two servers at once, for those that take turns.
    machine::allow(2 * CONNECTIONS)?;
    let run = Run { site: Site::new()?, quick: set("BENCH_QUICK"), means: Means::here() };
    let mut report = Report::default();
    report.note("counter_hardware", f64::from(u8::from(run.means == Some(Means::Hardware))));
    println!("bench: {}", counting(run.means));

    let mut failed = false;
    for (name, measure) in MEASUREMENTS.iter().filter(|(name, _)| wanted(name)) {
        let start = Instant::now();
        let outcome = measure(&run, &mut report);
        let seconds = start.elapsed().as_secs();
        match &outcome {
            Ok(()) => println!("bench: {name}, {seconds} s"),
            Err(error) => println!("bench: {name} was not measured, {seconds} s: {error:#}"),
        }
        failed |= outcome.is_err();
    }

    print!("\n{}{}", report.table(), report.explanations());
    let path = output();
    report.write(&path)?;
    println!("\nwritten to {}", path.display());
    let missed = set("BENCH_GATE") && !report.kept();
    Ok(if failed || missed { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

fn counting(means: Option<Means>) -> &'static str {
    match means {
        Some(Means::Hardware) => "instructions are counted by the machine",
        Some(Means::Callgrind) => "instructions are counted by callgrind: this machine has no counters",
        None => "no instructions are counted: this machine has neither counters nor valgrind",
    }
}

fn wanted(name: &str) -> bool {
    std::env::var("BENCH_ONLY").map_or(true, |names| names.split(',').any(|wanted| wanted == name))
}

fn set(name: &str) -> bool {
    std::env::var_os(name).is_some_and(|value| value == "1")
}

fn output() -> PathBuf {
    std::env::var_os("BENCH_OUTPUT").map_or_else(|| PathBuf::from("target/bench.json"), PathBuf::from)
}
