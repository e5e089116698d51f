//! The checks of the command `doctor`: of this machine and the services that a hub needs (`local`), and of the way that clients
//! take to a hub (`public`).
//!
//! A check that depends on a failed one is left out. What an answer means is decided without I/O, next to the check.

mod clock;
mod dns;
mod http_answer;
mod http_probe;
pub mod local;
mod local_files;
mod local_identity;
mod local_machine;
mod local_queue;
mod local_redis;
pub mod public;
pub mod public_url;
pub mod report;
mod tls;
mod websocket;
