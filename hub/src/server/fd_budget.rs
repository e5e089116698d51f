//! Divides the limit of open files.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// What is kept of a large limit for everything but the sockets of the reactors; of a small one it is a third.
const RESERVED_FDS: usize = 3500;

/// Of the reserve: listeners, files, polls.
const MISC_FDS: usize = 100;

/// How many requests there may be at once, and how many clients without a WebSocket, where the limit is large.
const MAX_REQUESTS: usize = 1024;

/// How many connections the ports of senders and of probes may have, where the limit is large.
const MAX_INTERNAL_CONNECTIONS: usize = 256;
const MAX_ADMIN_CONNECTIONS: usize = 64;

/// The least share.
const MIN_SHARE: usize = 8;

/// The limit of open files, divided.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FdBudget {
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

impl FdBudget {
    /// Raises the limit of this process as far as possible, and divides it.
    pub fn from_rlimit() -> FdBudget {
        let maximum = getrlimit(Resource::Nofile).maximum;
        // If it can't be had after all, what there is has to do.
        let _ = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum });
        let limit = getrlimit(Resource::Nofile).current.and_then(|limit| usize::try_from(limit).ok());
        FdBudget::split(limit.unwrap_or(usize::MAX))
    }

    fn split(limit: usize) -> FdBudget {
        let reserve = RESERVED_FDS.min(limit / 3);
        let rest = reserve.saturating_sub(MISC_FDS);
        let (internal, admin) = (
            (rest / 12).clamp(MIN_SHARE, MAX_INTERNAL_CONNECTIONS),
            (rest / 48).clamp(MIN_SHARE, MAX_ADMIN_CONNECTIONS),
        );
        let each = (rest.saturating_sub(internal + admin) / 3).clamp(MIN_SHARE, MAX_REQUESTS);
        FdBudget { sockets: limit - reserve, requests: each, relays: each, internal, admin }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn descriptor_shares_never_exceed_the_open_file_limit() {
        let large = FdBudget {
            sockets: 96_500,
            requests: MAX_REQUESTS,
            relays: MAX_REQUESTS,
            internal: MAX_INTERNAL_CONNECTIONS,
            admin: MAX_ADMIN_CONNECTIONS,
        };
        assert_eq!(FdBudget::split(100_000), large);
        let small = FdBudget { sockets: 683, requests: 71, relays: 71, internal: 20, admin: MIN_SHARE };
        assert_eq!(FdBudget::split(1024), small);
        for limit in [700, 1024, 4096, 20_000, usize::MAX] {
            let FdBudget { sockets, requests, relays, internal, admin } = FdBudget::split(limit);
            assert!(sockets + requests + 2 * relays + internal + admin + MISC_FDS <= limit, "{limit}");
        }
        assert_eq!(FdBudget::split(64).requests, MIN_SHARE);
    }
}
