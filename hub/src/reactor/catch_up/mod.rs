//! A reactor's side of catch-up: reports to [`CatchUp`] what happens to connections, sends the syncs that are due, and exchanges
//! lookups, records and subscriptions with the backplane (`presence`).
//!
//! [`CatchUp`]: crate::catch_up::CatchUp

pub(crate) mod delayed_responses;
pub(crate) mod login_responses;
pub(crate) mod presence;
pub(crate) mod subscribe_barrier;
mod subscribing;
mod syncs;
