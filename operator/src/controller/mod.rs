//! Watches resources and objects, and reconciles the hubs that a change concerns. Runs one controller for each watched
//! namespace, or one for all namespaces.
//!
//! Watches of children and Secrets get metadata only, so Deployments and the content of Secrets are not held in memory.
//! Watches of children select the operator's label, so the API server does not send other objects of these kinds. A child
//! that loses the label counts as deleted. A conflicting object that the hub does not own has no such label, so the hub
//! is reconciled again after a delay.

pub mod backoff;
mod connection_counts;
mod report;
pub mod secret_index;
mod third_party;
mod triggers;

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use futures_util::{FutureExt, StreamExt, TryStreamExt};
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::autoscaling::v2::HorizontalPodAutoscaler;
use k8s_openapi::api::core::v1::{ConfigMap, Secret, Service, ServiceAccount};
use k8s_openapi::api::networking::v1::{Ingress, NetworkPolicy};
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use kube::core::{DeserializeGuard, NamespaceResourceScope, PartialObjectMeta};
use kube::runtime::controller::{Action, Controller};
use kube::runtime::reflector::{self, ObjectRef, Store};
use kube::runtime::{Config as ControllerConfig, Predicate, WatchStreamExt, predicates, watcher};
use kube::{Api, Client, Resource, ResourceExt};
use notification_hub_crds::NotificationHub;
use tokio::sync::watch;

use crate::cluster::Kind;
use crate::context::Context;
use crate::model::labels;
use crate::reconcile::{self, ReconcileOutcome};
use crate::third_party::{HttpRoute, PodMonitor, ScaledObject, ServiceMonitor, refresh, run_discovery};

/// A resource, or the metadata of one that cannot be parsed.
pub type GuardedHub = DeserializeGuard<NotificationHub>;

/// Maximum number of concurrent reconciles per controller.
const MAX_CONCURRENT_RECONCILES: u16 = 16;

/// Time within which several changes cause one reconcile.
const DEBOUNCE: Duration = Duration::from_millis(100);

/// Interval at which every resource is reconciled, even if no change was seen.
const RESYNC_INTERVAL: Duration = Duration::from_secs(600);

/// Delay after the API server refused a child. A refusal by a quota or policy can end without a change of a watched
/// object.
const REJECTED_RETRY_INTERVAL: Duration = Duration::from_secs(60);

/// Number of transient failures in a row that the status does not report.
const TOLERATED_FAILURES: u32 = 2;

/// Runs until `stop` is true and the running reconciles have finished. An empty list of namespaces means all of them.
pub async fn run(client: Client, namespaces: &[String], context: Arc<Context>, stop: watch::Receiver<bool>) {
    let mut stopped = stop.clone();
    tokio::select! {
        () = refresh(&client, &context.served) => {}
        _ = stopped.wait_for(|stop| *stop) => return,
    }
    let all_namespaces = [None];
    let watched: Vec<_> = namespaces.iter().map(|namespace| Some(namespace.as_str())).collect();
    let scopes = if watched.is_empty() { all_namespaces.as_slice() } else { &watched };
    let controllers =
        join_all(scopes.iter().map(|scope| run_controller(&client, *scope, context.clone(), stop.clone())));
    tokio::select! {
        _ = controllers => {}
        () = run_discovery(&client, &context.served) => {}
    }
}

/// Runs the controller of a namespace, or of all namespaces for `None`.
async fn run_controller(
    client: &Client,
    namespace: Option<&str>,
    context: Arc<Context>,
    mut stop: watch::Receiver<bool>,
) {
    let hubs: Api<GuardedHub> = scoped_api(client, namespace);
    let (store, writer) = reflector::store();
    // Without the status, which the operator writes itself.
    let changes = predicates::generation.combine(predicates::labels).combine(predicates::annotations);
    let watch_context = context.clone();
    let hubs = watcher(hubs, watcher::Config::default()).default_backoff().reflect(writer).inspect_ok(move |event| {
        if let watcher::Event::Delete(hub) = event {
            report::forget_hub(&watch_context, ObjectRef::from_obj(hub).erase());
        }
    });
    let hubs = hubs.applied_objects().predicate_filter(changes, Default::default());
    let controller = Controller::for_stream(hubs, store.clone()).with_config(controller_config());
    let result_context = context.clone();
    let counts_changed = connection_counts::changed_hubs(store.clone(), context.clone());
    let stopped = stopped_before_sync(store.clone(), stop.clone());
    let controller = watch_children::<Deployment>(controller, client, namespace, &store);
    let controller = watch_children::<ServiceAccount>(controller, client, namespace, &store);
    let controller = watch_children::<ConfigMap>(controller, client, namespace, &store);
    let controller = watch_children::<Service>(controller, client, namespace, &store);
    let controller = watch_children::<HorizontalPodAutoscaler>(controller, client, namespace, &store);
    let controller = watch_children::<PodDisruptionBudget>(controller, client, namespace, &store);
    let controller = watch_children::<Ingress>(controller, client, namespace, &store);
    let controller = watch_children::<NetworkPolicy>(controller, client, namespace, &store);
    let running = controller
        .watches(
            scoped_api::<PartialObjectMeta<Secret>>(client, namespace),
            // All Secrets, because specs refer to Secrets of users.
            watcher::Config::default(),
            triggers::hubs_of_secret(store.clone(), context.clone()),
        )
        .reconcile_on(counts_changed)
        .reconcile_on(third_party::hubs_of_changed_children::<HttpRoute>(
            scoped_api(client, namespace),
            &context,
            store.clone(),
        ))
        .reconcile_on(third_party::hubs_of_changed_children::<ServiceMonitor>(
            scoped_api(client, namespace),
            &context,
            store.clone(),
        ))
        .reconcile_on(third_party::hubs_of_changed_children::<PodMonitor>(
            scoped_api(client, namespace),
            &context,
            store.clone(),
        ))
        .reconcile_on(third_party::hubs_of_changed_children::<ScaledObject>(
            scoped_api(client, namespace),
            &context,
            store.clone(),
        ))
        .reconcile_on(third_party::hubs_on_discovery(&context, store))
        .graceful_shutdown_on(async move {
            // An error means that the sender is dropped, so the controller stops, too.
            let _ = stop.wait_for(|stop| *stop).await;
        })
        .run(reconcile, error_policy, context)
        .for_each(|result| {
            report::on_result(&result_context, result);
            std::future::ready(())
        });
    tokio::select! {
        // No reconcile runs, so there is nothing to wait for.
        () = stopped => {}
        () = running => {}
    }
}

/// Adds a watch of the children of a kind to a controller.
fn watch_children<K: Kind + Send + Sync + 'static>(
    controller: Controller<GuardedHub>,
    client: &Client,
    namespace: Option<&str>,
    store: &Store<GuardedHub>,
) -> Controller<GuardedHub> {
    controller.watches(
        scoped_api::<PartialObjectMeta<K>>(client, namespace),
        watcher::Config::default().labels(labels::MANAGED_SELECTOR),
        triggers::hubs_of_child::<K>(store.clone()),
    )
}

/// Completes when `stop` becomes true before the first list of hubs is complete. The controller itself would wait for
/// that list for ever.
async fn stopped_before_sync(hubs: Store<GuardedHub>, mut stop: watch::Receiver<bool>) {
    // An error means that the sender is dropped, so the controller stops, too.
    let _ = stop.wait_for(|stop| *stop).await;
    if hubs.wait_until_ready().now_or_never().is_some() {
        std::future::pending().await
    }
}

fn controller_config() -> ControllerConfig {
    ControllerConfig::default().concurrency(MAX_CONCURRENT_RECONCILES).debounce(DEBOUNCE)
}

/// Returns the API of a kind in one namespace, or in all of them for `None`.
fn scoped_api<K>(client: &Client, namespace: Option<&str>) -> Api<K>
where
    K: Resource<DynamicType = (), Scope = NamespaceResourceScope>,
{
    match namespace {
        Some(namespace) => Api::namespaced(client.clone(), namespace),
        None => Api::all(client.clone()),
    }
}

/// Reconciles a resource once. The controller calls it.
pub async fn reconcile(guarded: Arc<GuardedHub>, context: Arc<Context>) -> Result<Action, reconcile::ReconcileError> {
    let hub = match &guarded.0 {
        Ok(hub) => hub,
        Err(invalid) => {
            report::report_malformed(&context, &guarded, invalid).await;
            return Ok(Action::await_change());
        }
    };
    // The garbage collector deletes the children.
    if hub.metadata.deletion_timestamp.is_some() {
        return Ok(Action::await_change());
    }
    context.secret_index.update(hub);
    let timer = context.metrics.reconcile_started();
    let result = Box::pin(reconcile::reconcile(&context, hub)).await;
    match &result {
        Ok(reconciled) => timer.finished(reconciled.outcome.as_str()),
        Err(error) => {
            timer.failed(error.step(), error.category());
            // The first transient failures are not reported, because they usually end with the next reconcile.
            let failures = context.backoff.failures(&ObjectRef::from_obj(&*guarded).erase());
            if !error.is_transient() || failures >= TOLERATED_FAILURES {
                Box::pin(reconcile::status::write_failure(&context, hub, error)).await;
            }
        }
    }
    let reconciled = result?;
    context.backoff.reset(&ObjectRef::from_obj(&*guarded).erase());
    let interval = match reconciled.outcome {
        ReconcileOutcome::Applied | ReconcileOutcome::Blocked | ReconcileOutcome::Paused => RESYNC_INTERVAL,
        ReconcileOutcome::Rejected => REJECTED_RETRY_INTERVAL,
    };
    let due = reconciled.due.map(|due| Duration::try_from(due.duration_since(context.clock.now())).unwrap_or_default());
    Ok(Action::requeue(due.map_or(interval, |due| due.clamp(backoff::MIN_DELAY, interval))))
}

/// Returns when a failed reconcile is retried. The controller calls it.
pub fn error_policy(guarded: Arc<GuardedHub>, error: &reconcile::ReconcileError, context: Arc<Context>) -> Action {
    if let reconcile::ReconcileError::Status(status) = error
        && status.is_stale()
    {
        // The watch delivers the newer resource soon.
        return Action::requeue(backoff::MIN_DELAY);
    }
    let delay = context.backoff.next(&ObjectRef::from_obj(&*guarded).erase());
    tracing::warn!(hub = guarded.name_any(), namespace = guarded.namespace(), %error, ?delay, "reconcile failed; retrying");
    Action::requeue(delay)
}
