//! Port numbers that the hub and the operator agree on. No I/O.

/// Port that clients connect to.
pub const PUBLIC: i32 = 5000;

/// Port that senders post to.
pub const INTERNAL: i32 = 5001;

/// Port of probes and metrics.
pub const ADMIN: i32 = 9090;
