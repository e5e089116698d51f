//! One measurement a file.

pub mod connect;
pub mod delivery;
pub mod idle;
