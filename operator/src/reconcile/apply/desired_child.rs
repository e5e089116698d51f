//! A desired child and the metadata of the existing object: its apply, and the repair of what an apply cannot revert.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ManagedFieldsEntry, ObjectMeta};
use kube::ResourceExt;
use notification_hub_crds::FIELD_MANAGER;

use crate::cluster::{CallError, Cluster, Kind};
use crate::reconcile::child::{ChildError, display_name};
use crate::reconcile::repair;

/// Maximum number of attempts to give up patched fields.
const MAX_ATTEMPTS: usize = 3;

/// A desired child.
pub(super) struct DesiredChild<K> {
    pub(super) object: K,
    /// Metadata of the existing object, or `None` if there is none.
    pub(super) existing: Option<ObjectMeta>,
}

impl<K: Kind> DesiredChild<K> {
    /// Returns its kind and name.
    pub(super) fn display_name(&self) -> String {
        display_name::<K>(&self.object.name_any())
    }

    /// Returns the error of a failed call for it.
    pub(super) fn failed(&self, source: CallError) -> ChildError {
        ChildError::new(self.display_name(), source)
    }

    /// Reads the live object. Returns `None` if it does not exist.
    pub(super) async fn live(&self, cluster: &Cluster) -> Result<Option<K>, ChildError> {
        let namespace = self.object.namespace().unwrap_or_default();
        cluster.get(&namespace, &self.object.name_any()).await.map_err(|source| self.failed(source))
    }

    /// Applies it. Reverts conflicting entries by a repair patch if the API server refuses the apply.
    pub(super) async fn apply(&self, cluster: &Cluster) -> Result<K, ChildError> {
        // An apply does not remove fields that the operator also owns by a patch, so it gives them up first.
        if !cluster.is_dry_run() && self.existing.as_ref().is_some_and(has_patched_fields) {
            self.give_up_patched_fields(cluster).await.map_err(|source| self.failed(source))?;
        }
        // Without force for a new object: if another client has created it since, the API server reports a conflict.
        let exists = self.existing.is_some();
        let applied = match cluster.apply(&self.object, exists).await {
            Err(refused) if exists && refused.category() == "invalid" => {
                Box::pin(self.repair(cluster, refused)).await?
            }
            result => result.map_err(|source| self.failed(source))?,
        };
        if !cluster.is_dry_run()
            && has_patched_fields(applied.meta())
            && let Err(error) = self.give_up_patched_fields(cluster).await
        {
            tracing::warn!(object = self.display_name(), %error, "cannot give up patched fields; retrying with the next write");
        }
        Ok(applied)
    }

    /// Applies it after a repair patch if a conflicting list entry caused the refusal. Otherwise returns the refusal.
    pub(super) async fn repair(&self, cluster: &Cluster, refused: CallError) -> Result<K, ChildError> {
        let live = self.live(cluster).await?;
        let Some(patch) = live.and_then(|live| repair::patch(&self.object, &live)) else {
            return Err(self.failed(refused));
        };
        let patched = cluster.patch(&self.object, &patch).await.map_err(|source| self.failed(source))?;
        if cluster.is_dry_run() {
            return Ok(patched);
        }
        cluster.apply(&self.object, true).await.map_err(|source| self.failed(source))
    }

    /// Gives up the fields that the operator owns by a patch. Controllers write the status of the same object, so a
    /// conflict causes another attempt.
    async fn give_up_patched_fields(&self, cluster: &Cluster) -> Result<(), CallError> {
        let mut attempts = 0;
        loop {
            attempts += 1;
            let namespace = self.object.namespace().unwrap_or_default();
            let live: Option<K> = cluster.get(&namespace, &self.object.name_any()).await?;
            let Some(live) = live.filter(|live| has_patched_fields(live.meta())) else { return Ok(()) };
            let kept: Vec<_> = live.managed_fields().iter().filter(|entry| !is_patched(entry)).cloned().collect();
            match cluster.replace_managed_fields(&live, &kept).await {
                Err(_) if attempts < MAX_ATTEMPTS => {}
                result => return result,
            }
        }
    }
}

/// Returns whether the operator owns fields of an object by a patch.
fn has_patched_fields(metadata: &ObjectMeta) -> bool {
    metadata.managed_fields.iter().flatten().any(is_patched)
}

/// Returns whether an entry of `managedFields` is of a patch by the operator.
fn is_patched(entry: &ManagedFieldsEntry) -> bool {
    entry.manager.as_deref() == Some(FIELD_MANAGER)
        && entry.operation.as_deref() == Some("Update")
        && entry.subresource.is_none()
}
