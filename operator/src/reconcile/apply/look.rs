//! Looks at what has the names of children before anything is written.

use kube::ResourceExt;

use super::wanted::Wanted;
use crate::cluster::{Cluster, Kind};
use crate::model::ownership;
use crate::reconcile::child::{Error, title};
use crate::third_party::ThirdPartyResource;

/// Looks at what is there before anything is written.
pub(super) struct Look<'a> {
    pub(super) cluster: &'a Cluster,
    pub(super) uid: &'a str,
    pub(super) foreign: Vec<String>,
    /// Why an object of an optional kind is left out.
    pub(super) forbidden: Option<Error>,
}

impl Look<'_> {
    /// Whether the object's name is free or has an object of this hub's.
    pub(super) async fn at<K: Kind>(&mut self, mut object: K) -> Result<Wanted<K>, Error> {
        let namespace = object.namespace().unwrap_or_default();
        let name = object.name_any();
        let there = self.cluster.get_metadata::<K>(&namespace, &name).await;
        let there = there.map_err(|source| Error::new(title::<K>(&name), source))?;
        if let Some(there) = &there {
            if !ownership::may_be_taken_over(&there.metadata, self.uid) {
                self.foreign.push(title::<K>(&name));
            }
            // Should it be replaced before the write, the write is refused.
            object.meta_mut().uid = there.metadata.uid.clone();
        }
        Ok(Wanted { object, there: there.map(|there| there.metadata) })
    }

    /// The same, where an object is wanted.
    pub(super) async fn at_some<K: Kind>(&mut self, object: Option<K>) -> Result<Option<Wanted<K>>, Error> {
        match object {
            Some(object) => self.at(object).await.map(Some),
            None => Ok(None),
        }
    }

    /// The same of an optional kind. What may not be seen is left out, and reported once the rest is written.
    pub(super) async fn at_third_party<K: ThirdPartyResource>(
        &mut self,
        object: Option<K>,
    ) -> Result<Option<Wanted<K>>, Error> {
        match self.at_some(object).await {
            Err(error) if error.category() == "forbidden" => {
                self.forbidden.get_or_insert(error);
                Ok(None)
            }
            result => result,
        }
    }
}
