//! Who may write: one process at a time, by a Lease.
//!
//! A leader's claim ends at a moment of its own clock, which moves on with every renewal that the API server has
//! confirmed. Every write looks at the claim first.

mod decision;
mod lease;
mod task;

pub use decision::{Decision, LeaseRecord, Timing, decide};
pub use lease::LeaseStore;
pub use task::{Election, ElectionOutcome};

use tokio::sync::watch;
use tokio::time::Instant;

/// Until when this process leads, if it does.
pub type Claim = Option<Instant>;

/// The right to write.
#[derive(Clone, Debug)]
pub enum Leadership {
    /// There is no election: this is the only process.
    NoElection,
    /// As long as the claim lasts.
    Elected(watch::Receiver<Claim>),
}

impl Leadership {
    /// Whether this process leads at this moment.
    pub fn is_leader(&self) -> bool {
        match self {
            Leadership::NoElection => true,
            Leadership::Elected(claim) => claim.borrow().is_some_and(|until| Instant::now() < until),
        }
    }

    /// Waits until this process leads. Never ends if nobody can ever tell.
    pub async fn wait_until_leader(&self) {
        if let Leadership::Elected(claim) = self
            && claim.clone().wait_for(Option::is_some).await.is_err()
        {
            std::future::pending().await
        }
    }
}
