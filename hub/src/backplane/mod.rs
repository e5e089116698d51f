//! How a delivery reaches every connection that it is for, on whatever replica: so far there is one, this process.

mod local;
pub mod redis;

pub use local::Local;
