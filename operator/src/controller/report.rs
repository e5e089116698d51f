//! Reports failed watches and malformed resources by log lines, metrics and Events, and forgets deleted hubs. Events of
//! conditions come from `reconcile::status`.

use kube::Resource;
use kube::core::DynamicObject;
use kube::core::error_boundary::InvalidObject;
use kube::runtime::controller::{Action, Error};
use kube::runtime::events::EventType;
use kube::runtime::reflector::ObjectRef;
use kube::runtime::watcher;

use super::GuardedHub;
use crate::context::Context;
use crate::reconcile;

/// Item of the stream of a controller.
type StreamResult = Result<(ObjectRef<GuardedHub>, Action), Error<reconcile::ReconcileError, watcher::Error>>;

/// Reports failed watches and forgets deleted hubs. The error policy reports failed reconciles.
pub(super) fn on_result(context: &Context, result: StreamResult) {
    match result {
        Ok(_) | Err(Error::ReconcilerFailed(..)) => {}
        // The hub was deleted before its reconcile began.
        Err(Error::ObjectNotFound(hub)) => forget_hub(context, *hub),
        Err(error) => {
            context.metrics.watch_failed();
            tracing::warn!(%error, "watch failed; retrying");
        }
    }
}

/// Removes the state of a deleted hub from the context.
pub(super) fn forget_hub(context: &Context, hub: ObjectRef<DynamicObject>) {
    context.backoff.reset(&hub);
    context.connections.forget(&hub);
    let (namespace, name) = (hub.namespace.unwrap_or_default(), hub.name);
    context.apply_cache.forget(&namespace, &name);
    context.secret_index.forget(&namespace, &name);
    context.metrics.forget_hub(&namespace, &name);
}

/// Reports a resource that cannot be parsed. Other resources are not affected.
pub(super) async fn report_malformed(context: &Context, guarded: &GuardedHub, invalid: &InvalidObject) {
    context.metrics.malformed_resource();
    let metadata = &invalid.metadata;
    tracing::error!(
        hub = metadata.name,
        namespace = metadata.namespace,
        error = invalid.error,
        "cannot parse a NotificationHub"
    );
    let note = format!("the operator cannot parse the resource: {}", invalid.error);
    context.publish(&guarded.object_ref(&()), EventType::Warning, "Read", "Malformed".to_owned(), note).await;
}
