//! `make bench`: measures the hub beside a bare epoll loop, prints a table and writes `target/bench.json`.
//!
//! `BENCH_QUICK=1` takes fewer pushes; `BENCH_GATE=1` makes a missed budget exit status 1; `BENCH_OUTPUT` names the file.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use notification_hub_tests::bench::report::{Report, Row};
use notification_hub_tests::bench::rows::delivery::{self, Delivery};
use notification_hub_tests::bench::rows::{connect, idle};
use notification_hub_tests::bench::server::{Kind, Site};
use notification_hub_tests::bench::{callgrind, counters, machine};

/// The budgets of the foundation.
const IDLE_BYTES: f64 = 512.0;
const DELIVERY_USER_INSTRUCTIONS: f64 = 300.0;

/// A frame of the control for the measurements in which nothing is pushed.
const NO_PUSH: Kind = Kind::Control { frame: 2 };

fn main() -> Result<ExitCode> {
    let quick = set("BENCH_QUICK");
    machine::allow(idle::TO.max(delivery::CONNECTIONS))?;
    let site = Site::new()?;
    let mut report = Report::default();

    progress(&format!("memory of idle connections, {} to {}", idle::FROM, idle::TO));
    report.add(Row {
        key: "idle_bytes_per_connection",
        title: "bytes of user memory, idle connection",
        hub: idle::measure(&site, Kind::Hub)?,
        control: idle::measure(&site, NO_PUSH)?,
        budget: Some(IDLE_BYTES),
    });
    deliveries(&site, &mut report, quick)?;
    connects(&site, &mut report)?;

    print!("\n{}", report.table());
    let path = output();
    report.write(&path)?;
    println!("written to {}", path.display());
    let failed = set("BENCH_GATE") && !report.kept();
    Ok(if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

/// The instructions of a delivery, by the best means that the machine has.
fn deliveries(site: &Site, report: &mut Report, quick: bool) -> Result<()> {
    let hardware = counters::available();
    report.note("counter_hardware", if hardware { 1.0 } else { 0.0 });
    let measure: &dyn Fn(Kind) -> Result<Delivery> = if hardware {
        progress(&format!("one push to {} connections, counted by the machine", delivery::CONNECTIONS));
        &|kind| delivery::counted(site, kind, if quick { 3 } else { 15 })
    } else if callgrind::available() {
        progress(&format!(
            "one push to {} and to {} connections under callgrind: this machine has no counters",
            delivery::FROM,
            delivery::TO
        ));
        &|kind| delivery::sloped(site, kind, if quick { 3 } else { 10 })
    } else {
        progress("no instructions counted: this machine has neither counters nor valgrind");
        return Ok(());
    };
    let hub = measure(Kind::Hub)?;
    let control = measure(Kind::Control { frame: hub.bytes.round() as usize })?;
    report.add(Row {
        key: "delivery_user_instructions",
        title: "user instructions of a delivery",
        hub: hub.instructions.user,
        control: control.instructions.user,
        budget: Some(DELIVERY_USER_INSTRUCTIONS),
    });
    if let (Some(hub), Some(control)) = (hub.instructions.total, control.instructions.total) {
        let (key, title) = ("delivery_instructions", "instructions of a delivery, kernel too");
        report.add(Row { key, title, hub, control, budget: None });
    }
    Ok(())
}

/// The instructions of a connect and its end, by the best means that the machine has.
fn connects(site: &Site, report: &mut Report) -> Result<()> {
    let measure = match (counters::available(), callgrind::available()) {
        (true, _) => connect::counted,
        (false, true) => connect::sloped,
        (false, false) => return Ok(()),
    };
    progress(&format!("{} connects of clients that are known", connect::CLIENTS));
    let (hub, control) = (measure(site, Kind::Hub)?, measure(site, NO_PUSH)?);
    report.add(Row {
        key: "connect_user_instructions",
        title: "user instructions of a connect",
        hub: hub.user,
        control: control.user,
        budget: None,
    });
    if let (Some(hub), Some(control)) = (hub.total, control.total) {
        let (key, title) = ("connect_instructions", "instructions of a connect, kernel too");
        report.add(Row { key, title, hub, control, budget: None });
    }
    Ok(())
}

fn progress(text: &str) {
    println!("bench: {text}");
}

fn set(name: &str) -> bool {
    std::env::var_os(name).is_some_and(|value| value == "1")
}

fn output() -> PathBuf {
    std::env::var_os("BENCH_OUTPUT").map_or_else(|| PathBuf::from("target/bench.json"), PathBuf::from)
}
