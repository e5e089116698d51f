//! How many sockets and connections all reactors together may hold, by the limit of open files.

use crate::observability::LogLimiter;

/// One of this many sockets is reserved for requests and closing sockets.
const TRANSIENT_SHARE: usize = 8;

/// The capacity of the process.
pub(crate) struct Capacity {
    max_sockets: usize,
    log_limiter: LogLimiter,
}

impl Capacity {
    /// Creates a capacity of so many sockets.
    pub(crate) fn new(max_sockets: usize) -> Capacity {
        Capacity { max_sockets, log_limiter: LogLimiter::default() }
    }

    /// Returns the most sockets that may be open.
    pub(crate) fn max_sockets(&self) -> usize {
        self.max_sockets
    }

    /// Returns how many of them may be open connections. The rest is for requests and closing sockets.
    pub(crate) fn max_connections(&self) -> usize {
        self.max_sockets - self.max_sockets / TRANSIENT_SHARE
    }

    /// Warns that the limit of open files is reached.
    pub(crate) fn warn_exhausted(&self) {
        if let Some(suppressed) = self.log_limiter.allow() {
            let most = self.max_sockets;
            tracing::warn!(most, suppressed, "no room for more connections; raise the limit of open files (ulimit -n)");
        }
    }
}
