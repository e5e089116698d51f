//! Leader election with a Lease: one process writes at a time.
//!
//! A leader leads until a deadline of its own clock. Each renewal that the API server confirms extends the deadline. Every
//! write checks it first.

mod decision;
mod lease;
mod task;

pub use decision::{Decision, ElectionTiming, LeaseRecord, decide};
pub use lease::LeaseStore;
pub use task::{Election, ElectionOutcome};

use tokio::sync::watch;
use tokio::time::Instant;

/// Time until which this process leads unless it renews the Lease, or `None` if it does not lead.
pub type LeadershipDeadline = Option<Instant>;

/// Right of this process to write.
#[derive(Clone, Debug)]
pub enum Leadership {
    /// Election is off: this is the only process.
    NoElection,
    /// This process may write before the deadline.
    Elected(watch::Receiver<LeadershipDeadline>),
}

impl Leadership {
    /// Returns whether this process leads now.
    pub fn is_leader(&self) -> bool {
        match self {
            Leadership::NoElection => true,
            Leadership::Elected(deadline) => deadline.borrow().is_some_and(|deadline| Instant::now() < deadline),
        }
    }

    /// Waits until this process leads. Never completes if the election has ended.
    pub async fn wait_until_leader(&self) {
        if let Leadership::Elected(deadline) = self
            && deadline.clone().wait_for(Option::is_some).await.is_err()
        {
            std::future::pending().await
        }
    }
}
