//! What the tests and the benchmark share.

pub mod bench;
pub mod cluster;
pub mod http;
pub mod install;
pub mod listener;
pub mod namespace;
pub mod process;
pub mod token;
pub mod wait;
