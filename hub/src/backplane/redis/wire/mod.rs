//! What is written to Redis and read from it: names and bytes. No I/O.

pub mod channel;
pub mod group_command;
pub mod invocation;
pub mod message;
mod push;
