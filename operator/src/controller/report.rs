//! What the outside hears of the controller: log, metrics, Events.

use kube::Resource;
use kube::core::DynamicObject;
use kube::core::error_boundary::InvalidObject;
use kube::runtime::controller::{Action, Error};
use kube::runtime::events::EventType;
use kube::runtime::reflector::ObjectRef;
use kube::runtime::watcher;

use super::Guarded;
use crate::context::Context;
use crate::reconcile;

type StreamResult = Result<(ObjectRef<Guarded>, Action), Error<reconcile::Error, watcher::Error>>;

/// Failed passes have been reported by the error policy; here it is about the watches.
pub(super) fn stream(context: &Context, result: StreamResult) {
    match result {
        Ok(_) | Err(Error::ReconcilerFailed(..)) => {}
        // Deleted.
        Err(Error::ObjectNotFound(hub)) => forget(context, *hub),
        Err(error) => {
            context.metrics.watch_failed();
            tracing::warn!(%error, "a watch failed; it is tried again");
        }
    }
}

/// Forgets a hub that was deleted.
pub(super) fn forget(context: &Context, hub: ObjectRef<DynamicObject>) {
    context.backoff.reset(&hub);
    context.connections.forget(&hub);
    let (namespace, name) = (hub.namespace.unwrap_or_default(), hub.name);
    context.applied.forget(&namespace, &name);
    context.secrets.forget(&namespace, &name);
    context.metrics.forget_hub(&namespace, &name);
}

/// A resource that is no NotificationHub of this version: told to everybody, and the others go on.
pub(super) async fn malformed(context: &Context, guarded: &Guarded, invalid: &InvalidObject) {
    context.metrics.malformed_resource();
    let metadata = &invalid.metadata;
    tracing::error!(
        hub = metadata.name,
        namespace = metadata.namespace,
        error = invalid.error,
        "a resource cannot be read"
    );
    let note = format!("this operator cannot read the resource: {}", invalid.error);
    context.publish(&guarded.object_ref(&()), EventType::Warning, "Read", "Malformed".to_owned(), note).await;
}
