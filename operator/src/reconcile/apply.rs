//! Step 4: writes the children, but never over somebody else's object.

use std::collections::BTreeSet;

use k8s_openapi::ByteString;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::ResourceExt;

use super::change::Change;
use super::child::{Error, title};
use super::{Live, hand_over, repair};
use crate::build::{self, Desired, KeySecret};
use crate::cluster::{Cluster, Kind};
use crate::conditions::Ways;
use crate::keys::{KeyPair, Missing, NEXT_ENTRY, NoKey, PRIVATE_ENTRY, Plan};
use crate::model::ownership;
use crate::optional::Optional;

/// What was written, as far as the next steps need it.
#[derive(Debug)]
pub struct Applied {
    /// What the status tells of, as it is now.
    pub live: Live,
    /// The uids of all that is wanted.
    pub uids: BTreeSet<String>,
    /// What would have been changed. Only of a rehearsal.
    pub changes: Vec<Change>,
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
        tokens_secret,
        public_service,
        internal_service,
        metrics_service,
        pod_disruption_budget,
        ingress,
        http_route,
        service_monitor,
        pod_monitor,
        network_policy,
        deployment,
        is_autoscaled,
        horizontal_pod_autoscaler,
        scaled_object,
    } = desired;
    let mut look = Look { cluster, uid, foreign: Vec::new(), forbidden: None };
    let service_account = look.at(service_account).await?;
    let config_map = look.at(config_map).await?;
    let (jwt_secret, unfinished) = match jwt_secret {
        Some(KeySecret { secret, unfinished }) => (Some(look.at(secret).await?), unfinished),
        None => (None, None),
    };
    let tokens_secret = look.at_some(tokens_secret).await?;
    let public_service = look.at(public_service).await?;
    let internal_service = look.at_some(internal_service).await?;
    let metrics_service = look.at(metrics_service).await?;
    let pod_disruption_budget = look.at_some(pod_disruption_budget).await?;
    let ingress = look.at_some(ingress).await?;
    let http_route = look.at_optional(http_route).await?;
    let service_monitor = look.at_optional(service_monitor).await?;
    let pod_monitor = look.at_optional(pod_monitor).await?;
    let network_policy = look.at_some(network_policy).await?;
    let mut deployment = look.at(deployment).await?;
    let horizontal_pod_autoscaler = look.at_some(horizontal_pod_autoscaler).await?;
    let scaled_object = look.at_optional(scaled_object).await?;
    if !look.foreign.is_empty() {
        return Ok(Verdict::Foreign(look.foreign));
    }

    let jwt_secret = with_key(cluster, jwt_secret, unfinished).await?;

    // What pods need comes before the pods.
    let mut write = Write { cluster, uids: BTreeSet::new(), changes: Vec::new() };
    write.child(service_account).await?;
    write.child(config_map).await?;
    write.some_child(jwt_secret).await?;
    write.some_child(tokens_secret).await?;
    write.child(public_service).await?;
    write.some_child(internal_service).await?;
    write.child(metrics_service).await?;
    write.some_child(pod_disruption_budget).await?;
    write.some_child(network_policy).await?;
    if is_autoscaled {
        let Child { object, there } = &mut deployment;
        let handed_over = hand_over::to_autoscaler(cluster, object, there.as_ref()).await;
        handed_over.map_err(|source| Error::new(title::<Deployment>(&object.name_any()), source))?;
    }
    let deployment = Box::pin(write.child(deployment)).await?;
    write.some_child(horizontal_pod_autoscaler).await?;
    // What may be refused by others than Kubernetes comes last: the hub runs without it.
    let ways = Ways { ingress: write.some_child(ingress).await?, http_route: write.some_child(http_route).await? };
    write.some_child(service_monitor).await?;
    write.some_child(pod_monitor).await?;
    write.some_child(scaled_object).await?;
    if let Some(error) = look.forbidden {
        return Err(error);
    }
    let live = Live { deployment, ways };
    Ok(Verdict::Applied(Box::new(Applied { live, uids: write.uids, changes: write.changes })))
}

/// Makes the key that the Secret lacks: now that it will be written.
async fn with_key(
    cluster: &Cluster,
    secret: Option<Child<Secret>>,
    unfinished: Option<Plan>,
) -> Result<Option<Child<Secret>>, Error> {
    let (mut secret, plan) = match (secret, unfinished) {
        (Some(secret), Some(plan)) => (secret, plan),
        (secret, _) => return Ok(secret),
    };
    if cluster.rehearses() {
        // An entry without a key stands for the one that would be made.
        let entry = if plan.missing == Some(Missing::Next) { NEXT_ENTRY } else { PRIVATE_ENTRY };
        secret.object.data.get_or_insert_default().insert(entry.to_owned(), ByteString::default());
        return Ok(Some(secret));
    }
    let (object, algorithm) = (secret.object.name_any(), plan.algorithm());
    tracing::info!(secret = object, ?algorithm, "making a key pair");
    let made = tokio::task::spawn_blocking(move || KeyPair::generate(algorithm)).await.map_err(|_| NoKey)??;
    build::finish(&mut secret.object, plan, made);
    Ok(Some(secret))
}

/// Looks at what is there before anything is written.
struct Look<'a> {
    cluster: &'a Cluster,
    uid: &'a str,
    foreign: Vec<String>,
    /// Why an object of an optional kind is left out.
    forbidden: Option<Error>,
}

impl Look<'_> {
    /// Whether the object's name is free or has an object of this hub's.
    async fn at<K: Kind>(&mut self, mut object: K) -> Result<Child<K>, Error> {
        let namespace = object.namespace().unwrap_or_default();
        let name = object.name_any();
        let there = self.cluster.get_metadata::<K>(&namespace, &name).await;
        let there = there.map_err(|source| Error::new(title::<K>(&name), source))?;
        if let Some(there) = &there {
            if !ownership::belongs_to(&there.metadata, self.uid) {
                self.foreign.push(title::<K>(&name));
            }
            // Should it be replaced before the write, the write is refused.
            object.meta_mut().uid = there.metadata.uid.clone();
        }
        Ok(Child { object, there: there.map(|there| there.metadata) })
    }

    /// The same, where an object is wanted.
    async fn at_some<K: Kind>(&mut self, object: Option<K>) -> Result<Option<Child<K>>, Error> {
        match object {
            Some(object) => self.at(object).await.map(Some),
            None => Ok(None),
        }
    }

    /// The same of an optional kind. What may not be seen is left out, and reported once the rest is written.
    async fn at_optional<K: Optional>(&mut self, object: Option<K>) -> Result<Option<Child<K>>, Error> {
        match self.at_some(object).await {
            Err(error) if error.category() == "forbidden" => {
                self.forbidden.get_or_insert(error);
                Ok(None)
            }
            result => result,
        }
    }
}

/// Writes, and remembers what was written.
struct Write<'a> {
    cluster: &'a Cluster,
    uids: BTreeSet<String>,
    changes: Vec<Change>,
}

impl Write<'_> {
    async fn child<K: Kind>(&mut self, child: Child<K>) -> Result<K, Error> {
        if self.cluster.rehearses() {
            return self.rehearsed(child).await;
        }
        let written = child.apply(self.cluster).await?;
        self.uids.extend(written.uid());
        Ok(written)
    }

    async fn rehearsed<K: Kind>(&mut self, child: Child<K>) -> Result<K, Error> {
        let (namespace, name) = (child.object.namespace().unwrap_or_default(), child.object.name_any());
        let title = title::<K>(&name);
        let before = self.cluster.get::<K>(&namespace, &name).await;
        let before = before.map_err(|source| Error::new(title.clone(), source))?;
        let written = child.apply(self.cluster).await?;
        self.uids.extend(written.uid());
        let json = |object: &K| serde_json::to_value(object).unwrap_or_default();
        self.changes.extend(Change::between(title, before.as_ref().map(json), json(&written)));
        Ok(written)
    }

    async fn some_child<K: Kind>(&mut self, child: Option<Child<K>>) -> Result<Option<K>, Error> {
        match child {
            Some(child) => self.child(child).await.map(Some),
            None => Ok(None),
        }
    }
}

struct Child<K> {
    object: K,
    /// What was there.
    there: Option<ObjectMeta>,
}

impl<K: Kind> Child<K> {
    async fn apply(self, cluster: &Cluster) -> Result<K, Error> {
        let failed = |source| Error::new(title::<K>(&self.object.name_any()), source);
        // Without force where nothing was: should somebody's object have come up since, the server reports a conflict.
        let exists = self.there.is_some();
        let refused = match cluster.apply(&self.object, exists).await {
            Err(error) if exists && error.category() == "invalid" => error,
            result => return result.map_err(failed),
        };
        let Some(patch) = repair::patch(&self.object) else { return Err(failed(refused)) };
        // Whether it helps is seen only when it is done.
        if cluster.rehearses() && !repair::may_help(&refused) {
            return Err(failed(refused));
        }
        let patched = cluster.patch(&self.object, &patch).await.map_err(failed)?;
        if cluster.rehearses() {
            return Ok(patched);
        }
        cluster.apply(&self.object, true).await.map_err(failed)
    }
}
