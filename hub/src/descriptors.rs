//! How the limit of open files is divided among those who need them.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// What is kept of a large limit for everything but the sockets of the reactors; of a small one it is a quarter.
const RESERVE: usize = 3300;

/// Of the reserve: the other ports, files, polls, and who asks there.
const OTHERS: usize = 128;

/// How many requests there may be at once, and how many clients without a WebSocket, where the limit is large.
const MOST: usize = 1024;

/// So many there may be in any case.
const LEAST: usize = 8;

/// A limit, divided.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shares {
    /// How many sockets the reactors may hold.
    pub sockets: usize,
    /// How many requests may be served at once: one descriptor each.
    pub requests: usize,
    /// How many clients without a WebSocket there may be: two descriptors each, beside the reactors'.
    pub relays: usize,
}

impl Shares {
    /// Divides the limit of this process, raised as far as it may be.
    pub fn take() -> Shares {
        let maximum = getrlimit(Resource::Nofile).maximum;
        // If it can't be had after all, what there is has to do.
        let _ = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum });
        let limit = getrlimit(Resource::Nofile).current.and_then(|limit| usize::try_from(limit).ok());
        Shares::of(limit.unwrap_or(usize::MAX))
    }

    fn of(limit: usize) -> Shares {
        let reserve = RESERVE.min(limit / 4);
        let each = (reserve.saturating_sub(OTHERS) / 3).clamp(LEAST, MOST);
        Shares { sockets: limit - reserve, requests: each, relays: each }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_more_is_given_than_there_is() {
        assert_eq!(Shares::of(100_000), Shares { sockets: 96_700, requests: MOST, relays: MOST });
        assert_eq!(Shares::of(1024), Shares { sockets: 768, requests: 42, relays: 42 });
        for limit in [700, 1024, 4096, 20_000, usize::MAX] {
            let Shares { sockets, requests, relays } = Shares::of(limit);
            assert!(sockets + requests + 2 * relays + OTHERS <= limit, "{limit}");
        }
        assert_eq!(Shares::of(64).requests, LEAST);
    }
}
