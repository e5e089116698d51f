//! What ASP.NET Core SignalR's servers say to each other over Redis, so that they and this hub can serve one fleet
//! (`signalr.md` 9). Pure: names and bytes, no connection.

pub mod channel;
pub mod group_command;
pub mod incoming;
pub mod invocation;
mod push;

/// What is wrong with something that came from Redis.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Malformed(&'static str);
