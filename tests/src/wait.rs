//! Waiting for a condition, never for a time.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

/// How often a condition is looked at.
const EVERY: Duration = Duration::from_millis(200);

/// Looks until `look` succeeds; an error means "not yet" and the last one is told when the deadline has passed.
pub fn until<T>(what: &str, within: Duration, mut look: impl FnMut() -> Result<T>) -> Result<T> {
    let deadline = Instant::now() + within;
    loop {
        match look() {
            Ok(found) => return Ok(found),
            Err(error) if Instant::now() > deadline => {
                return Err(error).with_context(|| format!("{what}: not within {within:?}"));
            }
            Err(_) => std::thread::sleep(EVERY),
        }
    }
}

/// Looks until what `look` finds has stayed the same for five looks, and gives that.
pub fn settled<T: PartialEq>(what: &str, within: Duration, look: impl Fn() -> Result<T>) -> Result<T> {
    let (mut last, mut equal) = (look()?, 0);
    until(what, within, || {
        let now = look()?;
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
        let mut looks = 0;
        let found = until("three looks", Duration::from_secs(10), || {
            looks += 1;
            if looks < 3 { bail!("only {looks}") } else { Ok(looks) }
        });
        assert_eq!(found.ok(), Some(3));
    }

    #[test]
    fn settled_returns_the_value_once_stable() {
        let looks = std::cell::Cell::new(0);
        let look = || {
            looks.set(looks.get() + 1);
            Ok(looks.get().min(3))
        };
        assert_eq!(settled("three", Duration::from_secs(10), look).ok(), Some(3));
    }

    #[test]
    fn until_timeout_error_names_condition_and_last_error() {
        let error = until::<()>("the moon", Duration::ZERO, || bail!("clouds")).expect_err("no moon");
        assert_eq!(format!("{error:#}"), "the moon: not within 0ns: clouds");
    }
}
