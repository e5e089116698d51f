//! Where pushes come from: `direct`, by `POST /send`.

pub mod direct;
mod intake;

pub use intake::Intake;
