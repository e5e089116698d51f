//! The other side of a source: composes pushes and sends them. For `push`, for tests, for callers in Rust.

mod direct;
mod push;

pub use direct::{Direct, SendError};
pub use push::{Push, PushError};
