//! Polls for a condition until a timeout.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

/// The interval between two checks.
const POLL_INTERVAL: Duration = Duration::from_millis(200);

/// Calls `check` until it succeeds, and returns its value. After the timeout `within`, returns its last error with `what` as
/// context.
pub fn until<T>(what: &str, within: Duration, mut check: impl FnMut() -> Result<T>) -> Result<T> {
    let deadline = Instant::now() + within;
    loop {
        match check() {
            Ok(found) => return Ok(found),
            Err(error) if Instant::now() > deadline => {
                return Err(error).with_context(|| format!("{what}: not within {within:?}"));
            }
            Err(_) => std::thread::sleep(POLL_INTERVAL),
        }
    }
}

/// Calls `check` until its value has not changed for five further calls, and returns that value.
pub fn settled<T: PartialEq>(what: &str, within: Duration, check: impl Fn() -> Result<T>) -> Result<T> {
    let (mut last, mut equal) = (check()?, 0);
    until(what, within, || {
        let now = check()?;
        equal = if now == last { equal + 1 } else { 0 };
        last = now;
        ensure!(equal >= 5, "it still changes");
        Ok(())
    })?;
    Ok(last)
}

#[cfg(test)]
mod tests {
    use super::*;
    use anyhow::bail;

    #[test]
    fn until_retries_until_success() {
        let mut calls = 0;
        let found = until("three calls", Duration::from_secs(10), || {
            calls += 1;
            if calls < 3 { bail!("only {calls}") } else { Ok(calls) }
        });
        assert_eq!(found.ok(), Some(3));
    }

    #[test]
    fn settled_returns_the_value_once_stable() {
        let calls = std::cell::Cell::new(0);
        let check = || {
            calls.set(calls.get() + 1);
            Ok(calls.get().min(3))
        };
        assert_eq!(settled("three", Duration::from_secs(10), check).ok(), Some(3));
    }

    #[test]
    fn until_timeout_error_names_condition_and_last_error() {
        let error = until::<()>("the moon", Duration::ZERO, || bail!("clouds")).expect_err("no moon");
        assert_eq!(format!("{error:#}"), "the moon: not within 0ns: clouds");
    }
}
