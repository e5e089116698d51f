//! The wire format of the backplane: channel names and messages. No I/O.

pub mod channel;
pub mod group_command;
pub mod invocation;
pub mod message;
mod push;
