//! Observes the panic of a check, and minimizes its input.

use std::cell::RefCell;
use std::panic::{self, catch_unwind};
use std::sync::Once;

use crate::Check;

/// The maximum number of shorter inputs that `minimize` tries.
const MAX_TRIES: usize = 20_000;

/// Where and why a check panicked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// File and line.
    pub location: String,
    /// The message of the panic.
    pub message: String,
}

thread_local! {
    /// `Some` while a check runs on this thread; the panic hook writes here instead of to standard error.
    static OBSERVED: RefCell<Option<Failure>> = const { RefCell::new(None) };
}

/// Runs a check and returns its panic, or `None` if it holds.
pub fn observe(check: Check, input: &[u8]) -> Option<Failure> {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let default = panic::take_hook();
        panic::set_hook(Box::new(move |panic| {
            let is_observed = OBSERVED.with_borrow_mut(|observed| {
                let Some(failure) = observed else { return false };
                failure.location = panic.location().map(ToString::to_string).unwrap_or_default();
                let payload = panic.payload();
                let text = payload.downcast_ref::<String>().map(String::as_str);
                failure.message = text.or(payload.downcast_ref().copied()).unwrap_or_default().to_owned();
                true
            });
            if !is_observed {
                default(panic);
            }
        }));
    });
    OBSERVED.set(Some(Failure { location: String::new(), message: String::new() }));
    let result = catch_unwind(|| check(input));
    OBSERVED.take().filter(|_| result.is_err())
}

/// Removes parts of a failing input while it still fails at `location`, and returns the rest.
pub fn minimize(check: Check, input: &[u8], location: &str) -> Vec<u8> {
    let fails = |input: &[u8]| observe(check, input).is_some_and(|failure| failure.location == location);
    let mut smallest = input.to_vec();
    let mut tries = 0;
    let mut part = input.len().div_ceil(2);
    while part > 0 {
        let (mut at, before) = (0, smallest.len());
        while at < smallest.len() && tries < MAX_TRIES {
            tries += 1;
            let end = smallest.len().min(at + part);
            let shorter = [&smallest[..at], &smallest[end..]].concat();
            if fails(&shorter) {
                smallest = shorter;
            } else {
                at = end;
            }
        }
        if part > 1 || smallest.len() == before || tries >= MAX_TRIES {
            part /= 2;
        }
    }
    smallest
}
