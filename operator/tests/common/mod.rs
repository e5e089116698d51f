//! What the tests share: an API server in memory, resources, and a process's worth of context around a pass.

pub mod fake_api;
pub mod fixtures;
mod merge;
pub mod request;
pub mod store;
