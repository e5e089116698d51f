//! Leader election with a Lease: one process writes at a time.
//!
//! A leader's claim ends at a time of its own clock. Each renewal that the API server confirms extends it. Every write
//! checks the claim first.

mod decision;
mod lease;
mod task;

pub use decision::{Decision, ElectionTiming, LeaseRecord, decide};
pub use lease::LeaseStore;
pub use task::{Election, ElectionOutcome};

use tokio::sync::watch;
use tokio::time::Instant;

/// When this process stops leading, or `None` if it does not lead.
pub type Claim = Option<Instant>;

/// Whether this process may write.
#[derive(Clone, Debug)]
pub enum Leadership {
    /// Election is off: this is the only process.
    NoElection,
    /// This process may write while its claim lasts.
    Elected(watch::Receiver<Claim>),
}

impl Leadership {
    /// Returns whether this process leads now.
    pub fn is_leader(&self) -> bool {
        match self {
            Leadership::NoElection => true,
            Leadership::Elected(claim) => claim.borrow().is_some_and(|until| Instant::now() < until),
        }
    }

    /// Waits until this process leads. Never completes if the election has ended.
    pub async fn wait_until_leader(&self) {
        if let Leadership::Elected(claim) = self
            && claim.clone().wait_for(Option::is_some).await.is_err()
        {
            std::future::pending().await
        }
    }
}
