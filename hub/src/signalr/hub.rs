//! The two hubs.

/// One of the two hubs that clients connect to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Hub {
    /// `/hub`: users.
    Main = 0,
    /// `/anonymous-hub`: who waits for the answer to a login request.
    Anonymous = 1,
}
