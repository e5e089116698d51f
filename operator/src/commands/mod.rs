//! The commands besides `run`. Each prints a result and ends.

pub mod check_permissions;
pub mod diff;
mod line_diff;
