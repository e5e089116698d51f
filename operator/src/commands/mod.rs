//! What the program does beside running: it answers one question, and ends.

pub mod check_permissions;
pub mod diff;
mod line_diff;
