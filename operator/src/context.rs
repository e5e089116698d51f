//! The state that all reconciles of this process share.

use std::sync::Arc;

use k8s_openapi::api::core::v1::ObjectReference;
use kube::Client;
use kube::runtime::events::{Event, EventType, Recorder, Reporter};
use tokio::sync::watch;

use crate::clock::Clock;
use crate::cluster::{Cluster, with_timeout};
use crate::conditions::event_note;
use crate::connections::Connections;
use crate::controller::backoff::Backoff;
use crate::controller::secret_index::SecretIndex;
use crate::leader::Leadership;
use crate::model::defaults::Defaults;
use crate::reconcile::apply_cache::ApplyCache;
use crate::reconcile::rollout_limiter::RolloutLimiter;
use crate::telemetry::metrics::Metrics;
use crate::third_party::ServedKinds;

/// Name of the controller in Events.
pub const CONTROLLER_NAME: &str = "notification-hub-operator";

/// State that all reconciles share. There is one per process, because its recorder aggregates Events.
pub struct Context {
    /// Access to the API server.
    pub cluster: Cluster,
    recorder: Recorder,
    /// The metrics of the process.
    pub metrics: Arc<Metrics>,
    /// Delays after failed reconciles.
    pub backoff: Backoff,
    /// The wall clock.
    pub clock: Clock,
    /// Last known numbers of clients.
    pub connections: Connections,
    /// Third-party kinds that the API server serves.
    pub served: watch::Sender<ServedKinds>,
    /// Defaults of every hub, from the configuration.
    pub defaults: Defaults,
    /// Children that need no write.
    pub apply_cache: ApplyCache,
    /// Limit of concurrent rollouts.
    pub rollout_limiter: RolloutLimiter,
    /// Index of the hubs that refer to each Secret.
    pub secret_index: SecretIndex,
}

impl Context {
    /// Creates the context of a process whose identity is `instance`.
    pub fn new(
        client: Client,
        leadership: Leadership,
        instance: String,
        metrics: Arc<Metrics>,
        defaults: Defaults,
    ) -> Context {
        let reporter = Reporter { controller: CONTROLLER_NAME.to_owned(), instance: Some(instance) };
        Context {
            cluster: Cluster::new(client.clone(), leadership),
            recorder: Recorder::new(client, reporter),
            metrics,
            backoff: Backoff::default(),
            clock: Clock::default(),
            connections: Connections::default(),
            served: watch::Sender::default(),
            defaults,
            apply_cache: ApplyCache::default(),
            rollout_limiter: RolloutLimiter::default(),
            secret_index: SecretIndex::default(),
        }
    }

    /// Sets the maximum number of concurrent rollouts that no change of a spec has caused.
    pub fn with_max_concurrent_rollouts(self, limit: usize) -> Context {
        Context { rollout_limiter: RolloutLimiter::new(limit), ..self }
    }

    /// Publishes an Event if this process leads. Logs a failure, because conditions and the log report the same.
    pub async fn publish(
        &self,
        regarding: &ObjectReference,
        type_: EventType,
        action: &str,
        reason: String,
        note: String,
    ) {
        if self.cluster.ensure_leading().is_err() {
            return;
        }
        let (action, note) = (action.to_owned(), Some(event_note(note)));
        let event = Event { type_, reason, note, action, secondary: None };
        if let Err(error) = with_timeout(self.recorder.publish(&event, regarding)).await {
            tracing::warn!(object = regarding.name, %error, "cannot publish an Event");
        }
    }
}
