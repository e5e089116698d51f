//! Looks at what has the names of children before anything is written.

use kube::ResourceExt;

use super::desired_child::DesiredChild;
use crate::cluster::{Cluster, Kind};
use crate::model::ownership;
use crate::reconcile::child::{ChildError, display_name};
use crate::third_party::ThirdPartyResource;

/// Looks at what is there before anything is written.
pub(super) struct OwnershipCheck<'a> {
    pub(super) cluster: &'a Cluster,
    pub(super) uid: &'a str,
    pub(super) not_owned: Vec<String>,
    /// Why an object of an optional kind is left out.
    pub(super) forbidden: Option<ChildError>,
}

impl OwnershipCheck<'_> {
    /// Whether the object's name is free or has an object of this hub's.
    pub(super) async fn check<K: Kind>(&mut self, mut object: K) -> Result<DesiredChild<K>, ChildError> {
        let namespace = object.namespace().unwrap_or_default();
        let name = object.name_any();
        let there = self.cluster.get_metadata::<K>(&namespace, &name).await;
        let there = there.map_err(|source| ChildError::new(display_name::<K>(&name), source))?;
        if let Some(there) = &there {
            if !ownership::is_adoptable_by(&there.metadata, self.uid) {
                self.not_owned.push(display_name::<K>(&name));
            }
            // Should it be replaced before the write, the write is refused.
            object.meta_mut().uid = there.metadata.uid.clone();
        }
        Ok(DesiredChild { object, existing: there.map(|there| there.metadata) })
    }

    /// The same, where an object is wanted.
    pub(super) async fn check_some<K: Kind>(
        &mut self,
        object: Option<K>,
    ) -> Result<Option<DesiredChild<K>>, ChildError> {
        match object {
            Some(object) => self.check(object).await.map(Some),
            None => Ok(None),
        }
    }

    /// The same of an optional kind. What may not be seen is left out, and reported once the rest is written.
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
