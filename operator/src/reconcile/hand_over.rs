//! The number of pods passes to an autoscaler.
//!
//! A field that is applied no longer goes back to its default: leaving `replicas` out would make one pod of any number. So
//! somebody else applies the number that is there, too, and only then it is left out. That field manager stays until the
//! autoscaler's first change takes the field from it. On the way back `replicas` is applied again, which takes it.

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::ResourceExt;
use notification_hub_crds::FIELD_MANAGER;
use serde_json::json;

use crate::cluster::{CallError, Cluster};

/// Leaves the number of pods of `deployment`, which the operator has applied so far, to an autoscaler. The number that the
/// Deployment was built with stays for one that was stopped, in which no autoscaler would do anything.
pub(super) async fn transfer_replicas(cluster: &Cluster, deployment: &mut Deployment) -> Result<(), CallError> {
    let (namespace, name) = (deployment.namespace().unwrap_or_default(), deployment.name_any());
    let live: Option<Deployment> = cluster.get(&namespace, &name).await?;
    let count = live.and_then(|live| live.spec?.replicas).unwrap_or_default();
    if count == 0 {
        return Ok(());
    }
    if cluster.is_dry_run() {
        // What would not be kept would not keep it.
        deployment.spec.iter_mut().for_each(|spec| spec.replicas = Some(count));
        return Ok(());
    }
    tracing::info!(hub = name, namespace, count, "the number of pods passes to an autoscaler");
    let only = json!({
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": { "name": name, "namespace": namespace, "uid": deployment.uid() },
        "spec": { "replicas": count },
    });
    cluster.hand_over::<Deployment>(&namespace, &name, &only).await?;
    omit_replicas(deployment);
    Ok(())
}

/// Leaves the number of pods out, so that it is somebody else's.
pub(super) fn omit_replicas(deployment: &mut Deployment) {
    deployment.spec.iter_mut().for_each(|spec| spec.replicas = None);
}

/// Whether the number of pods of a Deployment is what the operator has applied, and has to be handed over.
pub(super) fn is_required(metadata: &ObjectMeta) -> bool {
    metadata.managed_fields.iter().flatten().any(|entry| {
        entry.manager.as_deref() == Some(FIELD_MANAGER)
            && entry.operation.as_deref() == Some("Apply")
            && entry.subresource.is_none()
            && entry.fields_v1.as_ref().is_some_and(|fields| fields.0.pointer("/f:spec/f:replicas").is_some())
    })
}
