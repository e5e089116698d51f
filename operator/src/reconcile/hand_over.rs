//! Hands the number of pods over to an autoscaler.
//!
//! A field that no field manager applies any more returns to its default, so omitting `replicas` would scale to one pod.
//! Another field manager first applies the live number. Then the operator omits the field. The other field manager owns
//! it until the autoscaler changes it. Without an autoscaler, the operator applies `replicas` with force again.

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::ResourceExt;
use notification_hub_crds::FIELD_MANAGER;
use serde_json::json;

use crate::cluster::{CallError, Cluster};

/// Hands over the number of pods of `deployment`, which the operator has applied so far. A Deployment with 0 replicas
/// keeps the number that it was built with, because no autoscaler scales up from 0.
pub(super) async fn transfer_replicas(cluster: &Cluster, deployment: &mut Deployment) -> Result<(), CallError> {
    let (namespace, name) = (deployment.namespace().unwrap_or_default(), deployment.name_any());
    let live: Option<Deployment> = cluster.get(&namespace, &name).await?;
    let count = live.and_then(|live| live.spec?.replicas).unwrap_or_default();
    if count == 0 {
        return Ok(());
    }
    if cluster.is_dry_run() {
        // A dry run does not store the other field manager, so the predicted Deployment has the live number.
        deployment.spec.iter_mut().for_each(|spec| spec.replicas = Some(count));
        return Ok(());
    }
    tracing::info!(hub = name, namespace, count, "handing the number of pods over to an autoscaler");
    let fields = json!({
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": { "name": name, "namespace": namespace, "uid": deployment.uid() },
        "spec": { "replicas": count },
    });
    cluster.hand_over::<Deployment>(&namespace, &name, &fields).await?;
    omit_replicas(deployment);
    Ok(())
}

/// Omits the number of pods, so that the operator does not own the field.
pub(super) fn omit_replicas(deployment: &mut Deployment) {
    deployment.spec.iter_mut().for_each(|spec| spec.replicas = None);
}

/// Returns whether the operator owns the number of pods of a Deployment and has to hand it over.
pub(super) fn is_required(metadata: &ObjectMeta) -> bool {
    metadata.managed_fields.iter().flatten().any(|entry| {
        entry.manager.as_deref() == Some(FIELD_MANAGER)
            && entry.operation.as_deref() == Some("Apply")
            && entry.subresource.is_none()
            && entry.fields_v1.as_ref().is_some_and(|fields| fields.0.pointer("/f:spec/f:replicas").is_some())
    })
}
