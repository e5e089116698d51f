//! Step 5: deletes the children that are no longer desired, such as the internal Service of a hub that now receives
//! from a queue.
//!
//! Deletes only objects that this hub controls and that have the operator's labels. Kinds whose children are always
//! desired are not listed.

use std::collections::BTreeSet;

use k8s_openapi::api::autoscaling::v2::HorizontalPodAutoscaler;
use k8s_openapi::api::core::v1::{Secret, Service};
use k8s_openapi::api::networking::v1::{Ingress, NetworkPolicy};
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use kube::ResourceExt;
use kube::core::PartialObjectMeta;
use notification_hub_crds::NotificationHub;

use super::change::Change;
use super::child::{ChildError, display_name};
use crate::cluster::{Cluster, Kind};
use crate::model::{labels, ownership};
use crate::third_party::{HttpRoute, PodMonitor, ScaledObject, ServedKinds, ServiceMonitor, ThirdPartyResource};

/// Deletes the children of `hub` whose uids are not in `desired`, and returns the deleted ones.
pub async fn prune(
    cluster: &Cluster,
    hub: &NotificationHub,
    served: &ServedKinds,
    desired: &BTreeSet<String>,
) -> Result<Vec<Change>, ChildError> {
    let mut deleted = prune_kind::<Service>(cluster, hub, desired).await?;
    deleted.extend(prune_kind::<Secret>(cluster, hub, desired).await?);
    deleted.extend(prune_kind::<PodDisruptionBudget>(cluster, hub, desired).await?);
    deleted.extend(prune_kind::<Ingress>(cluster, hub, desired).await?);
    deleted.extend(prune_kind::<NetworkPolicy>(cluster, hub, desired).await?);
    deleted.extend(prune_third_party::<HttpRoute>(cluster, hub, served, desired).await?);
    deleted.extend(prune_third_party::<ServiceMonitor>(cluster, hub, served, desired).await?);
    deleted.extend(prune_third_party::<PodMonitor>(cluster, hub, served, desired).await?);
    Ok(deleted)
}

/// Autoscalers that are desired for a hub.
pub(super) struct DesiredAutoscalers {
    pub(super) horizontal_pod_autoscaler: bool,
    pub(super) scaled_object: bool,
}

/// Deletes the autoscalers of `hub` that are no longer desired, and returns the deleted ones.
pub(super) async fn prune_autoscalers(
    cluster: &Cluster,
    hub: &NotificationHub,
    served: &ServedKinds,
    desired: &DesiredAutoscalers,
) -> Result<Vec<Change>, ChildError> {
    let none = BTreeSet::new();
    let mut deleted = Vec::new();
    if !desired.horizontal_pod_autoscaler {
        deleted.extend(prune_kind::<HorizontalPodAutoscaler>(cluster, hub, &none).await?);
    }
    if !desired.scaled_object {
        deleted.extend(prune_third_party::<ScaledObject>(cluster, hub, served, &none).await?);
    }
    Ok(deleted)
}

/// Prunes a third-party kind, if the API server serves it. Skips a kind that the operator may not list: hubs that do
/// not ask for the kind do not need the permission.
async fn prune_third_party<K: ThirdPartyResource>(
    cluster: &Cluster,
    hub: &NotificationHub,
    served: &ServedKinds,
    desired: &BTreeSet<String>,
) -> Result<Vec<Change>, ChildError> {
    if !served.contains(K::KIND) {
        return Ok(Vec::new());
    }
    match list_children::<K>(cluster, hub).await {
        Err(error) if error.category() == "forbidden" => {
            tracing::warn!(hub = hub.name_any(), kind = %K::KIND, %error, "cannot list children of a kind; they are not pruned");
            Ok(Vec::new())
        }
        result => delete_undesired(cluster, hub, desired, result?).await,
    }
}

/// Prunes the children of a kind.
async fn prune_kind<K: Kind>(
    cluster: &Cluster,
    hub: &NotificationHub,
    desired: &BTreeSet<String>,
) -> Result<Vec<Change>, ChildError> {
    delete_undesired(cluster, hub, desired, list_children::<K>(cluster, hub).await?).await
}

/// Lists the metadata of the children of a kind.
async fn list_children<K: Kind>(
    cluster: &Cluster,
    hub: &NotificationHub,
) -> Result<Vec<PartialObjectMeta<K>>, ChildError> {
    let namespace = hub.namespace().unwrap_or_default();
    let listed = cluster.list_metadata::<K>(&namespace, &labels::child_selector_text(&hub.name_any())).await;
    listed.map_err(|source| ChildError::new(display_name::<K>("list"), source))
}

/// Deletes the listed children that the hub controls and whose uids are not in `desired`.
async fn delete_undesired<K: Kind>(
    cluster: &Cluster,
    hub: &NotificationHub,
    desired: &BTreeSet<String>,
    listed: Vec<PartialObjectMeta<K>>,
) -> Result<Vec<Change>, ChildError> {
    let mut deleted = Vec::new();
    let (namespace, uid) = (hub.namespace().unwrap_or_default(), hub.uid().unwrap_or_default());
    for child in listed {
        let is_desired = child.metadata.uid.as_ref().is_none_or(|uid| desired.contains(uid));
        let is_being_deleted = child.metadata.deletion_timestamp.is_some();
        if is_desired || is_being_deleted || !ownership::is_controlled_by(&child.metadata, &uid) {
            continue;
        }
        let object = display_name::<K>(&child.name_any());
        if !cluster.is_dry_run() {
            tracing::info!(hub = hub.name_any(), namespace, object, "pruning a child");
        }
        cluster.delete(&child).await.map_err(|source| ChildError::new(object.clone(), source))?;
        deleted.push(Change { object, before: None, after: None });
    }
    Ok(deleted)
}
