//! The benchmark (`make bench`): measures the hub and controls, prints a table and writes `target/bench.json`.
//!
//! `BENCH_QUICK=1` makes a quick run. `BENCH_ONLY` selects measurements, separated by commas. `BENCH_GATE=1` makes a missed
//! budget exit status 1. `BENCH_OUTPUT` is the output file.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

use anyhow::Result;
use notification_hub_tests::bench::machine;
use notification_hub_tests::bench::meter::CounterKind;
use notification_hub_tests::bench::report::Report;
use notification_hub_tests::bench::rows::{
    BenchRun, CONNECTIONS, backlog, churn, connect, delivery, idle, idle_time, latency, ping, rate, scale_out,
    slow_consumers, slow_handshakes, storm, verification,
};
use notification_hub_tests::bench::server::BenchEnvironment;

type Measurement = fn(&BenchRun, &mut Report) -> Result<()>;

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
    // Some measurements have two servers at once.
    machine::raise_descriptor_limit(2 * CONNECTIONS)?;
    let run = BenchRun {
        environment: BenchEnvironment::new()?,
        quick: is_set("BENCH_QUICK"),
        counter_kind: CounterKind::detect(),
    };
    let mut report = Report::default();
    report.note("counter_hardware", f64::from(u8::from(run.counter_kind == Some(CounterKind::Hardware))));
    println!("bench: {}", describe_counting(run.counter_kind));

    let mut failed = false;
    for (name, measure) in MEASUREMENTS.iter().filter(|(name, _)| is_selected(name)) {
        let start = Instant::now();
        let outcome = measure(&run, &mut report);
        let seconds = start.elapsed().as_secs();
        match &outcome {
            Ok(()) => println!("bench: {name}, {seconds} s"),
            Err(error) => println!("bench: {name} was not measured, {seconds} s: {error:#}"),
        }
        failed |= outcome.is_err();
    }

    print!("\n{}{}", report.table(), report.missed_profiles());
    let path = output_path();
    report.write(&path)?;
    println!("\nwritten to {}", path.display());
    let missed = is_set("BENCH_GATE") && !report.are_budgets_met();
    Ok(if failed || missed { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

fn describe_counting(counter_kind: Option<CounterKind>) -> &'static str {
    match counter_kind {
        Some(CounterKind::Hardware) => "instructions are counted by hardware counters",
        Some(CounterKind::Callgrind) => "instructions are counted by callgrind, because this machine has no counters",
        None => "no instructions are counted, because this machine has neither counters nor valgrind",
    }
}

fn is_selected(name: &str) -> bool {
    std::env::var("BENCH_ONLY").map_or(true, |names| names.split(',').any(|selected| selected == name))
}

fn is_set(name: &str) -> bool {
    std::env::var_os(name).is_some_and(|value| value == "1")
}

fn output_path() -> PathBuf {
    std::env::var_os("BENCH_OUTPUT").map_or_else(|| PathBuf::from("target/bench.json"), PathBuf::from)
}
