//! The checks of the command `doctor`: of this machine and the services that a hub needs (`local`).
//!
//! A check that depends on a failed one is left out. What an answer means is decided without I/O, next to the check.

mod clock;
pub mod local;
mod local_files;
mod local_identity;
mod local_machine;
mod local_queue;
mod local_redis;
pub mod report;
