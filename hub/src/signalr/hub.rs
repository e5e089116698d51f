//! The hubs.

/// A hub that clients connect to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Hub {
    /// `/hub`, for users.
    Main = 0,
    /// `/anonymous-hub`, for clients that wait for the response to a login request.
    Anonymous = 1,
}
