//! What the tests and the benchmark share.

pub mod bench;
pub mod http;
pub mod process;
pub mod token;
