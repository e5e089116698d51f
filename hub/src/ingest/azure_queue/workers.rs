//! The workers. Each hands over the pushes of its users and organizations one after another, so their order stays.

use std::future::Future;
use std::sync::Arc;
use std::time::Instant;

use tokio::sync::mpsc;

use super::inflight::LeasedMessage;
use crate::delivery::Audience;
use crate::delivery::route;
use crate::notification::Notification;

/// A push for a worker.
pub(super) struct WorkItem {
    /// The message that holds the push.
    pub(super) message: Arc<LeasedMessage>,
    /// The push.
    pub(super) notification: Notification,
    /// When the push was received.
    pub(super) since: Instant,
}

/// The channels to the workers. A worker ends when this is dropped and its channel is empty. The channels have no bound of
/// their own: each item holds a permit of [`InflightMessages`](super::inflight::InflightMessages).
pub(super) struct Workers(Vec<mpsc::UnboundedSender<WorkItem>>);

impl Workers {
    /// Starts `count` workers, at least one. Each calls `hand_over` for one item after another.
    pub(super) fn start<F: Future<Output = ()> + Send>(
        count: usize,
        hand_over: impl Fn(WorkItem) -> F + Clone + Send + 'static,
    ) -> Workers {
        let start = |_| {
            let (sender, mut items) = mpsc::unbounded_channel();
            let hand_over = hand_over.clone();
            tokio::spawn(async move {
                while let Some(item) = items.recv().await {
                    hand_over(item).await;
                }
            });
            sender
        };
        Workers((0..count.max(1)).map(start).collect())
    }

    /// Sends a push to its worker.
    pub(super) fn dispatch(&self, item: WorkItem) {
        let worker = worker_for(route::audience(&item.notification), self.0.len());
        // The worker is there: a panic, which alone would end it before this sender, aborts the process.
        let _ = self.0[worker].send(item);
    }
}

/// Returns the index of the worker for an audience.
fn worker_for(audience: Audience, workers: usize) -> usize {
    match audience {
        Audience::User(id, _)
        | Audience::Organization(id, _)
        | Audience::Installation(id, _)
        | Audience::LoginRequest(id) => (id.as_u128() % workers as u128) as usize,
        Audience::None | Audience::All(_) => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::notification::ClientType;
    use uuid::Uuid;

    #[test]
    fn worker_for_ignores_client_type_and_spreads_users() {
        let id = Uuid::new_v4();
        let worker = |audience| worker_for(audience, 8);
        assert_eq!(worker(Audience::User(id, ClientType::All)), worker(Audience::User(id, ClientType::Web)));
        let used: std::collections::BTreeSet<_> =
            (0..200).map(|_| worker(Audience::User(Uuid::new_v4(), ClientType::All))).collect();
        assert_eq!(used.len(), 8);
        assert_eq!(worker_for(Audience::None, 1), 0);
    }
}
