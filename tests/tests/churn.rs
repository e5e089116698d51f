//! No covered push is lost while devices connect and disconnect (`decisions.md` 5 and 8). `CHURN_SEED` sets the first seed, to
//! repeat a run. `CHURN_RUNS` is the number of runs of each test.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Result, ensure};
use notification_hub_tests::churn::{self, ChurnTotals, SETTINGS};
use notification_hub_tests::local_hub::LocalHub;
use notification_hub_tests::proxy::Proxy;
use notification_hub_tests::redis::Redis;
use notification_hub_tests::wait;

/// The further members of the organization: more than a fan-out writes to in a turn.
const MEDIUM_ORGANIZATION: usize = 300;

/// The further members of a large organization.
const LARGE_ORGANIZATION: usize = 2_600;

/// Returns the number in an environment variable, or a default.
fn number(variable: &str, default: u64) -> u64 {
    std::env::var(variable).ok().and_then(|value| value.parse().ok()).unwrap_or(default)
}

/// Runs each seed without faults.
fn run_without_faults(hubs: &[&LocalHub], members: usize) -> Result<()> {
    for_each_seed(|seed| {
        let totals = churn::run(hubs, members, seed, |_| Ok(()))?;
        ensure!(totals.duplicates == 0 && totals.missed == 0, "seed {seed}: {totals}");
        Ok(totals)
    })
}

fn for_each_seed(mut run: impl FnMut(u64) -> Result<ChurnTotals>) -> Result<()> {
    // One run at a time: a ping proves what a client has read only while the threads are not delayed.
    static RUN_LOCK: Mutex<()> = Mutex::new(());
    let _guard = RUN_LOCK.lock().unwrap_or_else(PoisonError::into_inner);
    let first = number("CHURN_SEED", uuid::Uuid::new_v4().as_u64_pair().0 >> 1);
    for seed in first..first + number("CHURN_RUNS", 1) {
        println!("seed {seed}");
        let totals = run(seed)?;
        println!("seed {seed}: {totals}");
        ensure!(totals.read > 0 && totals.disconnects > 0, "seed {seed}: {totals}");
    }
    Ok(())
}

/// Starts two replicas with one Redis, the first behind a proxy.
fn replicas(redis: &Redis, proxy: &Proxy) -> Result<[LocalHub; 2]> {
    let first = LocalHub::start(&format!("{SETTINGS}{}", redis.settings_at(proxy.address)))?;
    let second = LocalHub::start_replica(&first, &format!("{SETTINGS}{}", redis.settings()))?;
    for hub in [&first, &second] {
        wait::until("the replica is connected to Redis", Duration::from_secs(30), || {
            ensure!(hub.metric("notification_hub_backplane_up")? == 1.0);
            Ok(())
        })?;
    }
    Ok([first, second])
}

#[test]
fn one_replica_loses_no_covered_push() -> Result<()> {
    run_without_faults(&[&LocalHub::start(SETTINGS)?], MEDIUM_ORGANIZATION)
}

#[test]
fn one_replica_with_a_large_organization_loses_no_covered_push() -> Result<()> {
    run_without_faults(&[&LocalHub::start(&format!("reactors = 1\n{SETTINGS}"))?], LARGE_ORGANIZATION)
}

#[test]
fn replicas_with_redis_lose_no_covered_push() -> Result<()> {
    let redis = Redis::start()?;
    let [first, second] = replicas(&redis, &Proxy::start(redis.port(), Duration::ZERO)?)?;
    run_without_faults(&[&first, &second], MEDIUM_ORGANIZATION)
}

#[test]
fn replicas_with_slow_redis_connection_lose_no_covered_push() -> Result<()> {
    let redis = Redis::start()?;
    let [first, second] = replicas(&redis, &Proxy::start(redis.port(), Duration::from_millis(60))?)?;
    run_without_faults(&[&first, &second], MEDIUM_ORGANIZATION)
}

#[test]
fn replicas_lose_no_covered_push_when_redis_fails() -> Result<()> {
    let mut redis = Redis::start()?;
    let proxy = Proxy::start(redis.port(), Duration::ZERO)?;
    let [first, second] = replicas(&redis, &proxy)?;
    for_each_seed(|seed| {
        churn::run(&[&first, &second], MEDIUM_ORGANIZATION, seed, |part| match part {
            1 | 7 => {
                proxy.cut_connections();
                Ok(())
            }
            3 => redis.kill(),
            // Redis is empty after the restart.
            5 => redis.restart(),
            _ => Ok(()),
        })
    })
}
