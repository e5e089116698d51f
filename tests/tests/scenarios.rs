//! Deliveries during faults of several replicas and their Redis (`decisions.md` 8).

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use notification_hub_tests::bench::memory;
use notification_hub_tests::ledger::LossTolerance;
use notification_hub_tests::proxy::Proxy;
use notification_hub_tests::redis::Redis;
use notification_hub_tests::replicas::Replicas;
use notification_hub_tests::sentinels::Sentinels;
use notification_hub_tests::wait;

const CLIENTS: usize = 40;

/// The maximum duration of a delivery and the tolerated losses, without faults.
const NO_FAULT: (Duration, LossTolerance) = (Duration::from_secs(2), LossTolerance::None);

/// The same during an outage of Redis. All replicas are disconnected, so no push is lost between them.
const OUTAGE: (Duration, LossTolerance) = (Duration::from_secs(60), LossTolerance::None);

/// The same if a process is killed, or one replica is disconnected from Redis while others publish.
const FAULT: (Duration, LossTolerance) = (Duration::from_secs(60), LossTolerance::Fault);

/// A short drain, as the clients reconnect fast.
const DRAIN: &str = "drain.delay = '500ms'\ndrain.duration = '2s'\n";

fn replicas(count: usize, redis: &Redis) -> Result<Replicas> {
    let settings = format!("{DRAIN}{}", redis.settings());
    let replicas = Replicas::start(count, move |_| settings.clone())?;
    replicas.wait_redis(true)?;
    Ok(replicas)
}

/// Waits until the replicas have handled so many further pushes.
fn wait_pushed(replicas: &Replicas, pushes: f64) -> Result<()> {
    let taken = || -> Result<f64> { replicas.hubs().map(|hub| hub.metric_sum("notification_hub_pushes_total")).sum() };
    let before = taken()?;
    wait::until("the replicas handle pushes", Duration::from_secs(60), || {
        ensure!(taken()? >= before + pushes);
        Ok(())
    })
}

#[test]
fn four_undisturbed_replicas_lose_and_duplicate_nothing() -> Result<()> {
    let redis = Redis::start()?;
    let totals = replicas(4, &redis)?.run_workload(CLIENTS, NO_FAULT, |replicas| wait_pushed(replicas, 1000.0))?;
    ensure!(totals.duplicates == 0 && totals.lost_disconnected == 0, "{totals}");
    Ok(())
}

#[test]
fn rolling_replacement_of_replicas_loses_no_covered_push() -> Result<()> {
    let redis = Redis::start()?;
    let totals = replicas(4, &redis)?.run_workload(CLIENTS, NO_FAULT, |replicas| {
        // All new replicas start before the first old one ends, so no client reconnects to an old one.
        (0..4).try_for_each(|_| replicas.add())?;
        for _ in 0..4 {
            wait_pushed(replicas, 200.0)?;
            replicas.drain_oldest()?;
        }
        wait_pushed(replicas, 200.0)
    })?;
    ensure!(totals.duplicates == 0, "{totals}");
    Ok(())
}

#[test]
fn scaling_replicas_up_and_down_loses_no_covered_push() -> Result<()> {
    let redis = Redis::start()?;
    let totals = replicas(1, &redis)?.run_workload(CLIENTS, NO_FAULT, |replicas| {
        for _ in 0..3 {
            wait_pushed(replicas, 200.0)?;
            replicas.add()?;
        }
        for _ in 0..2 {
            wait_pushed(replicas, 200.0)?;
            replicas.drain_oldest()?;
        }
        wait_pushed(replicas, 200.0)
    })?;
    ensure!(totals.duplicates == 0, "{totals}");
    Ok(())
}

#[test]
fn replicas_killed_in_turn_lose_no_covered_push() -> Result<()> {
    let redis = Redis::start()?;
    replicas(4, &redis)?.run_workload(CLIENTS, FAULT, |replicas| {
        for _ in 0..6 {
            wait_pushed(replicas, 200.0)?;
            replicas.kill_oldest()?;
        }
        replicas.wait_redis(true)?;
        wait_pushed(replicas, 200.0)
    })?;
    Ok(())
}

#[test]
fn redis_killed_and_restarted_empty_loses_no_covered_push() -> Result<()> {
    let mut redis = Redis::start()?;
    replicas(2, &redis)?.run_workload(CLIENTS, OUTAGE, |replicas| {
        for _ in 0..2 {
            wait_pushed(replicas, 200.0)?;
            redis.kill()?;
            replicas.wait_redis(false)?;
            wait_pushed(replicas, 200.0)?;
            redis.restart()?;
            replicas.wait_redis(true)?;
        }
        wait_pushed(replicas, 200.0)
    })?;
    Ok(())
}

#[test]
fn minute_without_redis_loses_no_covered_push() -> Result<()> {
    let mut redis = Redis::start()?;
    replicas(2, &redis)?.run_workload(CLIENTS, OUTAGE, |replicas| {
        wait_pushed(replicas, 200.0)?;
        let used = |replicas: &Replicas| -> Result<u64> {
            replicas.hubs().map(|hub| memory::anonymous_bytes(hub.process.id())).sum()
        };
        let before = used(replicas)?;
        redis.kill()?;
        replicas.wait_redis(false)?;
        let since = Instant::now();
        while since.elapsed() < Duration::from_secs(60) {
            // Deliveries to clients of the replica that accepted the push.
            let delivered = |replicas: &Replicas| -> Result<f64> {
                replicas.hubs().map(|hub| hub.metric("notification_hub_frames_delivered_total")).sum()
            };
            let so_far = delivered(replicas)?;
            wait_pushed(replicas, 1000.0)?;
            ensure!(delivered(replicas)? > so_far, "local clients are not served");
        }
        let held = used(replicas)?.saturating_sub(before);
        println!("a minute without Redis: {} KiB more in two processes", held / 1024);
        // The maximum number of held pushes at a kilobyte each, and a margin.
        ensure!(held < 64 << 20, "{held} bytes more");
        redis.restart()?;
        replicas.wait_redis(true)?;
        wait_pushed(replicas, 200.0)
    })?;
    Ok(())
}

#[test]
fn redis_paused_loses_no_covered_push() -> Result<()> {
    let redis = Redis::start()?;
    replicas(2, &redis)?.run_workload(CLIENTS, OUTAGE, |replicas| {
        wait_pushed(replicas, 200.0)?;
        redis.pause()?;
        replicas.wait_redis(false)?;
        wait_pushed(replicas, 200.0)?;
        redis.resume()?;
        replicas.wait_redis(true)?;
        wait_pushed(replicas, 200.0)
    })?;
    Ok(())
}

#[test]
fn redis_failover_loses_no_covered_push() -> Result<()> {
    let mut redis = Sentinels::start()?;
    let settings = format!("{DRAIN}{}", redis.settings());
    let mut replicas = Replicas::start(2, move |_| settings.clone())?;
    replicas.wait_redis(true)?;
    replicas.run_workload(CLIENTS, FAULT, |replicas| {
        wait_pushed(replicas, 200.0)?;
        redis.fail_over()?;
        wait_pushed(replicas, 200.0)?;
        replicas.wait_redis(true)?;
        wait_pushed(replicas, 200.0)?;
        redis.kill_master()?;
        wait_pushed(replicas, 200.0)?;
        replicas.wait_redis(true)?;
        wait_pushed(replicas, 200.0)
    })?;
    Ok(())
}

#[test]
fn replica_disconnected_from_redis_repeatedly_loses_no_covered_push() -> Result<()> {
    let redis = Redis::start()?;
    let proxy = Proxy::start(redis.port(), Duration::ZERO)?;
    let (direct, through) = (redis.settings(), redis.settings_at(proxy.address));
    let settings = move |number| format!("{DRAIN}{}", if number == 0 { &through } else { &direct });
    let mut replicas = Replicas::start(3, settings)?;
    replicas.wait_redis(true)?;
    replicas.run_workload(CLIENTS, FAULT, |replicas| {
        for _ in 0..3 {
            wait_pushed(replicas, 200.0)?;
            proxy.cut_connections();
            wait_pushed(replicas, 200.0)?;
            replicas.wait_redis(true)?;
        }
        Ok(())
    })?;
    Ok(())
}

#[test]
fn redis_with_high_latency_loses_and_duplicates_nothing() -> Result<()> {
    let redis = Redis::start()?;
    let proxy = Proxy::start(redis.port(), Duration::from_millis(300))?;
    let settings = format!("{DRAIN}{}", redis.settings_at(proxy.address));
    let mut replicas = Replicas::start(2, move |_| settings.clone())?;
    replicas.wait_redis(true)?;
    let totals = replicas
        .run_workload(CLIENTS, (Duration::from_secs(5), LossTolerance::None), |replicas| wait_pushed(replicas, 30.0))?;
    ensure!(totals.duplicates == 0 && totals.lost_disconnected == 0, "{totals}");
    Ok(())
}
