//! One measurement a file.

pub mod delivery;
pub mod idle;
