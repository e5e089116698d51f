//! How the limit of open files is divided among those who need them.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// What is kept of a large limit for everything but the sockets of the reactors; of a small one it is a third.
const RESERVE: usize = 3500;

/// Of the reserve: listeners, files, polls.
const OTHERS: usize = 100;

/// How many requests there may be at once, and how many clients without a WebSocket, where the limit is large.
const MOST: usize = 1024;

/// How many connections the ports of senders and of probes may have, where the limit is large.
const MAX_INTERNAL: usize = 256;
const MAX_ADMIN: usize = 64;

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
    /// How many connections the internal port may have.
    pub internal: usize,
    /// How many connections the admin port may have.
    pub admin: usize,
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
        let reserve = RESERVE.min(limit / 3);
        let rest = reserve.saturating_sub(OTHERS);
        let (internal, admin) = ((rest / 12).clamp(LEAST, MAX_INTERNAL), (rest / 48).clamp(LEAST, MAX_ADMIN));
        let each = (rest.saturating_sub(internal + admin) / 3).clamp(LEAST, MOST);
        Shares { sockets: limit - reserve, requests: each, relays: each, internal, admin }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn descriptor_shares_never_exceed_the_open_file_limit() {
        let large = Shares { sockets: 96_500, requests: MOST, relays: MOST, internal: MAX_INTERNAL, admin: MAX_ADMIN };
        assert_eq!(Shares::of(100_000), large);
        let small = Shares { sockets: 683, requests: 71, relays: 71, internal: 20, admin: LEAST };
        assert_eq!(Shares::of(1024), small);
        for limit in [700, 1024, 4096, 20_000, usize::MAX] {
            let Shares { sockets, requests, relays, internal, admin } = Shares::of(limit);
            assert!(sockets + requests + 2 * relays + internal + admin + OTHERS <= limit, "{limit}");
        }
        assert_eq!(Shares::of(64).requests, LEAST);
    }
}
