//! Checks the ownership of existing objects that have the names of children, before anything is written.

use kube::ResourceExt;

use super::desired_child::DesiredChild;
use crate::cluster::{Cluster, Kind};
use crate::model::ownership;
use crate::reconcile::child::{ChildError, display_name};
use crate::third_party::ThirdPartyResource;

/// Ownership check of all children of one hub.
pub(super) struct OwnershipCheck<'a> {
    pub(super) cluster: &'a Cluster,
    pub(super) uid: &'a str,
    /// Kinds and names of the objects that the hub does not own.
    pub(super) not_owned: Vec<String>,
    /// Error of a third-party kind that the operator must not read, or `None`.
    pub(super) forbidden: Option<ChildError>,
}

impl OwnershipCheck<'_> {
    /// Reads the metadata of the existing object, and records the object if the hub does not own it.
    pub(super) async fn check<K: Kind>(&mut self, mut object: K) -> Result<DesiredChild<K>, ChildError> {
        let namespace = object.namespace().unwrap_or_default();
        let name = object.name_any();
        let existing = self.cluster.get_metadata::<K>(&namespace, &name).await;
        let existing = existing.map_err(|source| ChildError::new(display_name::<K>(&name), source))?;
        if let Some(existing) = &existing {
            if !ownership::is_adoptable_by(&existing.metadata, self.uid) {
                self.not_owned.push(display_name::<K>(&name));
            }
            // If the object is replaced before the write, the API server refuses the write.
            object.meta_mut().uid = existing.metadata.uid.clone();
        }
        Ok(DesiredChild { object, existing: existing.map(|existing| existing.metadata) })
    }

    /// Checks a child if it is desired.
    pub(super) async fn check_some<K: Kind>(
        &mut self,
        object: Option<K>,
    ) -> Result<Option<DesiredChild<K>>, ChildError> {
        match object {
            Some(object) => self.check(object).await.map(Some),
            None => Ok(None),
        }
    }

    /// Checks a child of a third-party kind if it is desired. A kind that the operator must not read is left out, and
    /// reported after the other children are written.
    pub(super) async fn check_third_party<K: ThirdPartyResource>(
        &mut self,
        object: Option<K>,
    ) -> Result<Option<DesiredChild<K>>, ChildError> {
        match self.check_some(object).await {
            Err(error) if error.category() == "forbidden" => {
                self.forbidden.get_or_insert(error);
                Ok(None)
            }
            result => result,
        }
    }
}
