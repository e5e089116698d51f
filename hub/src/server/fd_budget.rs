//! Divides the limit of open files between the parts of a hub.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// The maximum of descriptors for everything but the sockets of the reactors. Of a small limit it is a third.
const RESERVED_FDS: usize = 3500;

/// The part of the reserve for listeners, files and polls.
const MISC_FDS: usize = 100;

/// The maximum number of concurrent requests, and of clients without a WebSocket.
const MAX_REQUESTS: usize = 1024;

/// The maximum number of connections of the internal port.
const MAX_INTERNAL_CONNECTIONS: usize = 256;

/// The maximum number of connections of the admin port.
const MAX_ADMIN_CONNECTIONS: usize = 64;

/// The minimum of each share, also where the limit is too small for it.
const MIN_SHARE: usize = 8;

/// The shares of the limit of open files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FdBudget {
    /// The maximum number of sockets of all reactors.
    pub sockets: usize,
    /// The maximum number of concurrent HTTP requests, with one descriptor each.
    pub requests: usize,
    /// The maximum number of clients without a WebSocket, with two descriptors each beside those of the reactors.
    pub relays: usize,
    /// The maximum number of connections of the internal port.
    pub internal: usize,
    /// The maximum number of connections of the admin port.
    pub admin: usize,
}

impl FdBudget {
    /// Raises the soft limit of this process to the hard limit, and divides it.
    pub fn from_rlimit() -> FdBudget {
        let maximum = getrlimit(Resource::Nofile).maximum;
        // If raising fails, the current limit is divided.
        let _ = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum });
        let limit = getrlimit(Resource::Nofile).current.and_then(|limit| usize::try_from(limit).ok());
        FdBudget::split(limit.unwrap_or(usize::MAX))
    }

    /// Divides a limit.
    fn split(limit: usize) -> FdBudget {
        let reserve = RESERVED_FDS.min(limit / 3);
        let shared = reserve.saturating_sub(MISC_FDS);
        let (internal, admin) = (
            (shared / 12).clamp(MIN_SHARE, MAX_INTERNAL_CONNECTIONS),
            (shared / 48).clamp(MIN_SHARE, MAX_ADMIN_CONNECTIONS),
        );
        let requests = (shared.saturating_sub(internal + admin) / 3).clamp(MIN_SHARE, MAX_REQUESTS);
        FdBudget { sockets: limit - reserve, requests, relays: requests, internal, admin }
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
