//! Step 4: writes the children, but never over somebody else's object.

use k8s_openapi::api::apps::v1::Deployment;
use kube::ResourceExt;

use super::repair;
use crate::build::Desired;
use crate::cluster::{CallError, Cluster, Kind};
use crate::model::ownership;

/// What was written, as far as the status needs it.
#[derive(Debug)]
pub struct Applied {
    /// The Deployment as it is now.
    pub deployment: Deployment,
}

/// How it went.
#[derive(Debug)]
pub enum Verdict {
    /// All of it is as it should be.
    Applied(Box<Applied>),
    /// Objects of others have names that are needed; nothing was written.
    Foreign(Vec<String>),
    /// The API server does not take a child as it was built.
    Refused(String),
}

/// A call for one child failed.
#[derive(Debug, thiserror::Error)]
#[error("{object}: {source}")]
pub struct Error {
    object: String,
    source: CallError,
}

impl Error {
    /// What kind of failure it was.
    pub fn category(&self) -> &'static str {
        self.source.category()
    }

    /// Whether the server minds what the object says. What it minds about metadata comes of a race (the object was made
    /// anew between look and write) and passes.
    fn is_about_the_content(&self) -> bool {
        let Some(status) = self.source.status() else { return false };
        let causes = status.details.iter().flat_map(|details| &details.causes);
        let is_race = causes.into_iter().any(|cause| cause.field.starts_with("metadata."));
        matches!(status.code, 400 | 403 | 422) && !is_race
    }
}

/// Applies every child of the hub with this uid, after having looked at all of them.
pub async fn apply(cluster: &Cluster, uid: &str, desired: Desired) -> Result<Verdict, Error> {
    match Box::pin(apply_all(cluster, uid, desired)).await {
        Err(error) if error.is_about_the_content() => Ok(Verdict::Refused(error.to_string())),
        result => result,
    }
}

async fn apply_all(cluster: &Cluster, uid: &str, desired: Desired) -> Result<Verdict, Error> {
    // Without `..`, so that a new kind cannot be forgotten here.
    let Desired {
        service_account,
        config_map,
        jwt_secret,
        public_service,
        internal_service,
        metrics_service,
        deployment,
    } = desired;
    let mut look = Look { cluster, uid, foreign: Vec::new() };
    let service_account = look.at(service_account).await?;
    let config_map = look.at(config_map).await?;
    let jwt_secret = match jwt_secret {
        Some(secret) => Some(look.at(secret).await?),
        None => None,
    };
    let public_service = look.at(public_service).await?;
    let internal_service = look.at(internal_service).await?;
    let metrics_service = look.at(metrics_service).await?;
    let deployment = look.at(deployment).await?;
    if !look.foreign.is_empty() {
        return Ok(Verdict::Foreign(look.foreign));
    }

    // What pods need comes before the pods.
    service_account.apply(cluster).await?;
    config_map.apply(cluster).await?;
    if let Some(secret) = jwt_secret {
        secret.apply(cluster).await?;
    }
    public_service.apply(cluster).await?;
    internal_service.apply(cluster).await?;
    metrics_service.apply(cluster).await?;
    let deployment = deployment.apply(cluster).await?;
    Ok(Verdict::Applied(Box::new(Applied { deployment })))
}

/// Looks at what is there before anything is written.
struct Look<'a> {
    cluster: &'a Cluster,
    uid: &'a str,
    foreign: Vec<String>,
}

impl Look<'_> {
    /// Whether the object's name is free or has an object of this hub's.
    async fn at<K: Kind>(&mut self, mut object: K) -> Result<Child<K>, Error> {
        let namespace = object.namespace().unwrap_or_default();
        let there = self.cluster.get_metadata::<K>(&namespace, &object.name_any()).await;
        let there = there.map_err(|source| Error { object: title(&object), source })?;
        if let Some(there) = &there {
            if !ownership::belongs_to(&there.metadata, self.uid) {
                self.foreign.push(title(&object));
            }
            // Should it be replaced before the write, the write is refused.
            object.meta_mut().uid = there.metadata.uid.clone();
        }
        Ok(Child { object, exists: there.is_some() })
    }
}

struct Child<K> {
    object: K,
    exists: bool,
}

impl<K: Kind> Child<K> {
    async fn apply(self, cluster: &Cluster) -> Result<K, Error> {
        let failed = |source| Error { object: title(&self.object), source };
        // Without force where nothing was: should somebody's object have come up since, the server reports a conflict.
        let refused = match cluster.apply(&self.object, self.exists).await {
            Err(error) if self.exists && error.category() == "invalid" => error,
            result => return result.map_err(failed),
        };
        let Some(patch) = repair::patch(&self.object) else { return Err(failed(refused)) };
        cluster.patch(&self.object, &patch).await.map_err(failed)?;
        cluster.apply(&self.object, true).await.map_err(failed)
    }
}

fn title<K: Kind>(object: &K) -> String {
    format!("{} {}", K::kind(&()), object.name_any())
}
