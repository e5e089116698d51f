//! Writes children, except for those that the apply cache knows to be unchanged.

use std::collections::BTreeSet;

use k8s_openapi::api::apps::v1::Deployment;
use kube::ResourceExt;
use notification_hub_crds::NotificationHub;
use notification_hub_crds::condition::Reason;

use super::desired_child::DesiredChild;
use crate::cluster::Kind;
use crate::reconcile::ReconcileScope;
use crate::reconcile::apply_cache;
use crate::reconcile::change::Change;
use crate::reconcile::child::ChildError;

/// Writes the children of one hub, and records their uids and changes.
pub(super) struct ChildWriter<'a> {
    pub(super) scope: &'a ReconcileScope<'a>,
    pub(super) hub: apply_cache::HubKey,
    pub(super) uids: BTreeSet<String>,
    pub(super) changes: Vec<Change>,
}

impl ChildWriter<'_> {
    /// Writes a child unless it is unchanged.
    pub(super) async fn apply_child<K: Kind>(&mut self, child: DesiredChild<K>) -> Result<(), ChildError> {
        if self.is_unchanged(&child) {
            self.uids.extend(child.existing.and_then(|existing| existing.uid));
            return Ok(());
        }
        self.write(child).await.map(drop)
    }

    /// Writes a child unless it is unchanged, and returns the live object.
    pub(super) async fn apply_and_get<K: Kind>(&mut self, child: DesiredChild<K>) -> Result<K, ChildError> {
        if self.is_unchanged(&child) {
            return self.get_or_apply(child).await;
        }
        self.write(child).await
    }

    /// Returns the live child without writing it, or writes it if it does not exist.
    pub(super) async fn get_or_apply<K: Kind>(&mut self, child: DesiredChild<K>) -> Result<K, ChildError> {
        match child.live(self.scope.cluster).await? {
            Some(live) => {
                self.uids.extend(live.uid());
                Ok(live)
            }
            None => self.write(child).await,
        }
    }

    /// Applies a child and records it in the apply cache. In a dry run, records its change instead.
    pub(super) async fn write<K: Kind>(&mut self, child: DesiredChild<K>) -> Result<K, ChildError> {
        let cluster = self.scope.cluster;
        if cluster.is_dry_run() {
            return self.write_by_dry_run(child).await;
        }
        let written = Box::pin(child.apply(cluster)).await?;
        self.scope.apply_cache.remember(&self.hub, &child.object, written.meta());
        self.uids.extend(written.uid());
        Ok(written)
    }

    /// Applies a child by a dry run and records its change.
    pub(super) async fn write_by_dry_run<K: Kind>(&mut self, child: DesiredChild<K>) -> Result<K, ChildError> {
        let before = child.live(self.scope.cluster).await?;
        let written = Box::pin(child.apply(self.scope.cluster)).await?;
        self.uids.extend(written.uid());
        let json = |object: &K| serde_json::to_value(object).unwrap_or_default();
        self.changes.extend(Change::between(child.display_name(), before.as_ref().map(json), json(&written)));
        Ok(written)
    }

    /// Writes a child if it is desired, unless it is unchanged.
    pub(super) async fn apply_some<K: Kind>(&mut self, child: Option<DesiredChild<K>>) -> Result<(), ChildError> {
        match child {
            Some(child) => self.apply_child(child).await,
            None => Ok(()),
        }
    }

    /// Writes a child if it is desired, unless it is unchanged. Returns the live object, or `None` if it is not desired.
    pub(super) async fn apply_some_and_get<K: Kind>(
        &mut self,
        child: Option<DesiredChild<K>>,
    ) -> Result<Option<K>, ChildError> {
        match child {
            Some(child) => self.apply_and_get(child).await.map(Some),
            None => Ok(None),
        }
    }

    /// Returns whether the apply cache knows that a write would change nothing.
    pub(super) fn is_unchanged<K: Kind>(&self, child: &DesiredChild<K>) -> bool {
        self.scope.apply_cache.is_unchanged(&self.hub, &child.object, child.existing.as_ref())
    }

    /// Returns the result of writing a child, from a dry run. Returns `None` if all writes are dry runs, or the child is
    /// unchanged.
    pub(super) async fn predict<K: Kind>(&self, child: &DesiredChild<K>) -> Result<Option<K>, ChildError> {
        if self.scope.cluster.is_dry_run() || self.is_unchanged(child) {
            return Ok(None);
        }
        Box::pin(child.apply(&self.scope.cluster.dry_run())).await.map(Some)
    }

    /// Returns whether the rollout has to wait. It waits if the limit is reached, and neither a change of the spec nor an
    /// edit of the Deployment has caused it.
    pub(super) async fn has_to_queue(
        &self,
        hub: &NotificationHub,
        deployment: &DesiredChild<Deployment>,
        predicted: &Deployment,
    ) -> Result<bool, ChildError> {
        let status = hub.status.as_ref();
        let has_failed =
            status.iter().flat_map(|it| &it.conditions).any(|it| it.reason == Reason::ReconcileError.as_str());
        let is_edited = has_failed || status.and_then(|it| it.observed_generation) != hub.metadata.generation;
        if is_edited || self.scope.apply_cache.was_applied(&self.hub, &deployment.object) {
            return Ok(false);
        }
        let template = |it: &Deployment| it.spec.as_ref().map(|spec| spec.template.clone());
        let live = deployment.live(self.scope.cluster).await?;
        let is_replaced = live.is_some_and(|live| template(&live) != template(predicted));
        Ok(is_replaced && !self.scope.rollout_limiter.try_start(&hub.uid().unwrap_or_default()))
    }
}
