//! Shared code of the tests: an API server in memory, resources, and the context of reconciles.

pub mod fake_api;
pub mod fixtures;
mod merge;
pub mod request;
pub mod store;
