//! What the outside hears of the controller: log, metrics, Events.

use k8s_openapi::api::core::v1::ObjectReference;
use kube::Resource;
use kube::core::error_boundary::InvalidObject;
use kube::runtime::controller::{Action, Error};
use kube::runtime::events::{Event, EventType};
use kube::runtime::reflector::ObjectRef;
use kube::runtime::watcher;
use notification_hub_crds::NotificationHub;

use super::Guarded;
use crate::cluster::in_time;
use crate::conditions::as_note;
use crate::context::Context;
use crate::reconcile;

type StreamResult = Result<(ObjectRef<Guarded>, Action), Error<reconcile::Error, watcher::Error>>;

/// Failed passes have been reported by the error policy; here it is about the watches.
pub(super) fn stream(context: &Context, result: StreamResult) {
    match result {
        Ok(_) | Err(Error::ReconcilerFailed(..)) => {}
        // Deleted.
        Err(Error::ObjectNotFound(hub)) => context.backoff.reset(&hub),
        Err(error) => {
            context.metrics.watch_failed();
            tracing::warn!(%error, "a watch failed; it is tried again");
        }
    }
}

/// A resource that is no NotificationHub of this version: told to everybody, and the others go on.
pub(super) async fn malformed(context: &Context, invalid: &InvalidObject) {
    context.metrics.malformed_resource();
    let metadata = &invalid.metadata;
    tracing::error!(
        hub = metadata.name,
        namespace = metadata.namespace,
        error = invalid.error,
        "a resource cannot be read"
    );
    let event = Event {
        type_: EventType::Warning,
        reason: "Malformed".to_owned(),
        note: Some(as_note(format!("this operator cannot read the resource: {}", invalid.error))),
        action: "Read".to_owned(),
        secondary: None,
    };
    let regarding = ObjectReference {
        api_version: Some(NotificationHub::api_version(&()).into_owned()),
        kind: Some(NotificationHub::kind(&()).into_owned()),
        name: metadata.name.clone(),
        namespace: metadata.namespace.clone(),
        uid: metadata.uid.clone(),
        ..ObjectReference::default()
    };
    if let Err(error) = in_time(context.recorder.publish(&event, &regarding)).await {
        tracing::warn!(hub = metadata.name, %error, "an Event could not be published");
    }
}
