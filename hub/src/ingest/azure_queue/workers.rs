//! The workers: each hands over the pushes of its users and organisations, one after another, so that their order stays.

use std::sync::Arc;
use std::time::Instant;

use tokio::sync::mpsc;

use super::consumer::Consumer;
use super::inflight::LeasedMessage;
use crate::delivery::Audience;
use crate::delivery::route;
use crate::notification::Notification;

/// A push that is to be handed over.
pub(super) struct WorkItem {
    /// Its message.
    pub(super) held: Arc<LeasedMessage>,
    /// The push.
    pub(super) notification: Notification,
    /// When it was received.
    pub(super) since: Instant,
}

/// The ways to the workers; they end when these are dropped and nothing is left to do. Bounded by the room in hand.
pub(super) struct Workers(Vec<mpsc::UnboundedSender<WorkItem>>);

impl Workers {
    /// Starts that many workers.
    pub(super) fn start(count: usize, consumer: &Arc<Consumer>) -> Workers {
        let start = |_| {
            let (sender, tasks) = mpsc::unbounded_channel();
            tokio::spawn(work(consumer.clone(), tasks));
            sender
        };
        Workers((0..count.max(1)).map(start).collect())
    }

    /// Gives a push to its worker.
    pub(super) fn dispatch(&self, task: WorkItem) {
        let worker = worker_for(route::audience(&task.notification), self.0.len());
        // A worker that is gone took the hub with it.
        let _ = self.0[worker].send(task);
    }
}

/// Which of the workers has the pushes for an audience.
fn worker_for(audience: Audience, workers: usize) -> usize {
    match audience {
        Audience::User(id, _)
        | Audience::Organization(id, _)
        | Audience::Installation(id, _)
        | Audience::LoginRequest(id) => (id.as_u128() % workers as u128) as usize,
        Audience::Nobody | Audience::Everyone(_) => 0,
    }
}

async fn work(consumer: Arc<Consumer>, mut tasks: mpsc::UnboundedReceiver<WorkItem>) {
    while let Some(task) = tasks.recv().await {
        if task.held.is_lease_expired() {
            tracing::debug!(id = task.held.id, "a message was in hand for too long: it will come again");
            continue;
        }
        consumer.pipeline.deliver_reliably(&task.notification, task.since).await;
        tokio::spawn(consumer.clone().remove(task.held));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::notification::ClientType;
    use uuid::Uuid;

    #[test]
    fn worker_of_ignores_client_type_and_spreads_users() {
        let id = Uuid::new_v4();
        let of = |audience| worker_for(audience, 8);
        assert_eq!(of(Audience::User(id, ClientType::All)), of(Audience::User(id, ClientType::Web)));
        let spread: std::collections::BTreeSet<_> =
            (0..200).map(|_| of(Audience::User(Uuid::new_v4(), ClientType::All))).collect();
        assert_eq!(spread.len(), 8);
        assert_eq!(worker_for(Audience::Nobody, 1), 0);
    }
}
