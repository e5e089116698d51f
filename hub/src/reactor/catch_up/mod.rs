//! A reactor's side of catch-up (`client_catch_up`), and what it exchanges with the backplane (`presence`).

mod client_catch_up;
mod delayed_responses;
mod login_responses;
pub(crate) mod presence;
mod subscribe_barrier;

pub(crate) use client_catch_up::ClientCatchUp;
