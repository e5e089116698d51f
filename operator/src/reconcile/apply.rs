//! Step 4: writes the children, but never over somebody else's object.
//!
//! All or nothing, whatever the API server answers at whichever write. What runs is decided by one object, the Deployment: its
//! pod template has the whole configuration in it, and names the Secrets. It is asked for first, by a dry run, so that what
//! is refused changes nothing at all. What is written before it is nothing to the pods that run: a Secret of the operator's
//! has what they know in it until no pod needs it any more, and what a spec does not want any more goes after the rollout. What
//! is written after it is nothing that pods read. The level of the log alone is in force at once, by itself.

use std::collections::BTreeSet;

use k8s_openapi::ByteString;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ManagedFieldsEntry, ObjectMeta};
use kube::ResourceExt;
use notification_hub_crds::condition::Reason;
use notification_hub_crds::{FIELD_MANAGER, NotificationHub};

use super::change::Change;
use super::child::{Error, title};
use super::prune::{self, Autoscalers};
use super::{Live, Scope, apply_cache, hand_over, repair};
use crate::build::{self, Desired, KeySecret};
use crate::cluster::{CallError, Cluster, Kind};
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
    /// Whether the Deployment has to wait until rollouts of other hubs are over.
    pub is_queued: bool,
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

/// Applies every child of `hub`, after having looked at all of them.
pub async fn apply(scope: &Scope<'_>, hub: &NotificationHub, desired: Desired) -> Result<Verdict, Error> {
    match Box::pin(apply_all(scope, hub, desired)).await {
        Err(error) if error.is_about_the_content() => Ok(Verdict::Refused(error.to_string())),
        result => result,
    }
}

async fn apply_all(scope: &Scope<'_>, hub: &NotificationHub, desired: Desired) -> Result<Verdict, Error> {
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
    let (cluster, uid) = (scope.cluster, hub.uid().unwrap_or_default());
    let mut look = Look { cluster, uid: &uid, foreign: Vec::new(), forbidden: None };
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

    // A new Deployment begins with the number that it was built with.
    let is_handed_over = is_autoscaled && deployment.there.as_ref().is_some_and(|there| !hand_over::is_due(there));
    if is_handed_over {
        hand_over::leave_out(&mut deployment.object);
    }
    let autoscaler = Autoscalers {
        horizontal_pod_autoscaler: horizontal_pod_autoscaler.is_some(),
        scaled_object: scaled_object.is_some(),
    };
    let name = (hub.namespace().unwrap_or_default(), hub.name_any());
    let mut write = Write { scope, hub: name, uids: BTreeSet::new(), changes: Vec::new() };
    // Nothing is written for pods that the API server does not take.
    let predicted = Box::pin(write.predicted(&deployment)).await?;
    let is_queued = match predicted {
        Some(predicted) => Box::pin(write.has_to_wait(hub, &deployment, &predicted)).await?,
        None => false,
    };
    let jwt_secret = with_key(cluster, jwt_secret, unfinished).await?;

    // What pods need comes before the pods.
    write.child(service_account).await?;
    write.child(config_map).await?;
    write.some_child(jwt_secret).await?;
    write.some_child(tokens_secret).await?;
    write.child(public_service).await?;
    write.some_child(internal_service).await?;
    write.child(metrics_service).await?;
    write.some_child(pod_disruption_budget).await?;
    write.some_child(network_policy).await?;
    let deployment = if is_queued {
        Box::pin(write.as_it_is(deployment)).await?
    } else {
        // It would fight with whoever decides instead.
        write.changes.extend(prune::autoscalers(cluster, hub, scope.served, &autoscaler).await?);
        if is_autoscaled && !is_handed_over && deployment.there.is_some() {
            let handed_over = hand_over::to_autoscaler(cluster, &mut deployment.object).await;
            handed_over.map_err(|source| deployment.failed(source))?;
        }
        Box::pin(write.seen(deployment)).await?
    };
    write.some_child(horizontal_pod_autoscaler).await?;
    // What may be refused by others than Kubernetes comes last: the hub runs without it.
    let ways = Ways { ingress: write.some_seen(ingress).await?, http_route: write.some_seen(http_route).await? };
    write.some_child(service_monitor).await?;
    write.some_child(pod_monitor).await?;
    write.some_child(scaled_object).await?;
    if let Some(error) = look.forbidden {
        return Err(error);
    }
    let live = Live { deployment, ways };
    Ok(Verdict::Applied(Box::new(Applied { live, uids: write.uids, changes: write.changes, is_queued })))
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
            if !ownership::may_be_taken_over(&there.metadata, self.uid) {
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
    scope: &'a Scope<'a>,
    hub: apply_cache::Hub,
    uids: BTreeSet<String>,
    changes: Vec<Change>,
}

impl Write<'_> {
    /// Writes a child, unless it is known to be as it should be.
    async fn child<K: Kind>(&mut self, child: Child<K>) -> Result<(), Error> {
        if self.is_unchanged(&child) {
            self.uids.extend(child.there.and_then(|there| there.uid));
            return Ok(());
        }
        self.written(child).await.map(drop)
    }

    /// The same, and the child as it is then.
    async fn seen<K: Kind>(&mut self, child: Child<K>) -> Result<K, Error> {
        if self.is_unchanged(&child) {
            return self.as_it_is(child).await;
        }
        self.written(child).await
    }

    /// A child that is left as it is; it is written after all if it is gone.
    async fn as_it_is<K: Kind>(&mut self, child: Child<K>) -> Result<K, Error> {
        match child.live(self.scope.cluster).await? {
            Some(live) => {
                self.uids.extend(live.uid());
                Ok(live)
            }
            None => self.written(child).await,
        }
    }

    async fn written<K: Kind>(&mut self, child: Child<K>) -> Result<K, Error> {
        let cluster = self.scope.cluster;
        if cluster.rehearses() {
            return self.rehearsed(child).await;
        }
        let written = Box::pin(child.apply(cluster)).await?;
        self.scope.applied.remember(&self.hub, &child.object, written.meta());
        self.uids.extend(written.uid());
        Ok(written)
    }

    async fn rehearsed<K: Kind>(&mut self, child: Child<K>) -> Result<K, Error> {
        let before = child.live(self.scope.cluster).await?;
        let written = Box::pin(child.apply(self.scope.cluster)).await?;
        self.uids.extend(written.uid());
        let json = |object: &K| serde_json::to_value(object).unwrap_or_default();
        self.changes.extend(Change::between(child.title(), before.as_ref().map(json), json(&written)));
        Ok(written)
    }

    async fn some_child<K: Kind>(&mut self, child: Option<Child<K>>) -> Result<(), Error> {
        match child {
            Some(child) => self.child(child).await,
            None => Ok(()),
        }
    }

    async fn some_seen<K: Kind>(&mut self, child: Option<Child<K>>) -> Result<Option<K>, Error> {
        match child {
            Some(child) => self.seen(child).await.map(Some),
            None => Ok(None),
        }
    }

    fn is_unchanged<K: Kind>(&self, child: &Child<K>) -> bool {
        self.scope.applied.is_unchanged(&self.hub, &child.object, child.there.as_ref())
    }

    /// What the API server would make of a child that is about to be written, by a dry run.
    async fn predicted<K: Kind>(&self, child: &Child<K>) -> Result<Option<K>, Error> {
        if self.scope.cluster.rehearses() || self.is_unchanged(child) {
            return Ok(None);
        }
        Box::pin(child.apply(&self.scope.cluster.rehearsal())).await.map(Some)
    }

    /// Whether the pods would be replaced though neither the spec nor somebody else's edit is the reason, and as many hubs
    /// are rolled out for such a reason as there may be.
    async fn has_to_wait(
        &self,
        hub: &NotificationHub,
        deployment: &Child<Deployment>,
        predicted: &Deployment,
    ) -> Result<bool, Error> {
        let status = hub.status.as_ref();
        let has_failed =
            status.iter().flat_map(|it| &it.conditions).any(|it| it.reason == Reason::ReconcileError.as_str());
        let is_edited = has_failed || status.and_then(|it| it.observed_generation) != hub.metadata.generation;
        if is_edited || self.scope.applied.was_wanted(&self.hub, &deployment.object) {
            return Ok(false);
        }
        let template = |it: &Deployment| it.spec.as_ref().map(|spec| spec.template.clone());
        let live = deployment.live(self.scope.cluster).await?;
        let is_replaced = live.is_some_and(|live| template(&live) != template(predicted));
        Ok(is_replaced && !self.scope.pace.try_start(&hub.uid().unwrap_or_default()))
    }
}

struct Child<K> {
    object: K,
    /// What was there.
    there: Option<ObjectMeta>,
}

impl<K: Kind> Child<K> {
    fn title(&self) -> String {
        title::<K>(&self.object.name_any())
    }

    fn failed(&self, source: CallError) -> Error {
        Error::new(self.title(), source)
    }

    /// The object of its name, if there is one.
    async fn live(&self, cluster: &Cluster) -> Result<Option<K>, Error> {
        let namespace = self.object.namespace().unwrap_or_default();
        cluster.get(&namespace, &self.object.name_any()).await.map_err(|source| self.failed(source))
    }

    async fn apply(&self, cluster: &Cluster) -> Result<K, Error> {
        // Without force where nothing was: should somebody's object have come up since, the server reports a conflict.
        let exists = self.there.is_some();
        let applied = match cluster.apply(&self.object, exists).await {
            Err(refused) if exists && refused.category() == "invalid" => {
                Box::pin(self.repair(cluster, refused)).await?
            }
            result => result.map_err(|source| self.failed(source))?,
        };
        if !cluster.rehearses() {
            self.give_up_patched_fields(cluster, &applied).await;
        }
        Ok(applied)
    }

    /// Applies it after all, if what was refused is an entry of somebody else's that is in the way.
    async fn repair(&self, cluster: &Cluster, refused: CallError) -> Result<K, Error> {
        let live = self.live(cluster).await?;
        let Some(patch) = live.and_then(|live| repair::patch(&self.object, &live)) else {
            return Err(self.failed(refused));
        };
        let patched = cluster.patch(&self.object, &patch).await.map_err(|source| self.failed(source))?;
        if cluster.rehearses() {
            return Ok(patched);
        }
        cluster.apply(&self.object, true).await.map_err(|source| self.failed(source))
    }

    /// Gives up what the operator owns because of a patch: an apply that leaves such a field out would not take it away. It
    /// is tried again with the next write.
    async fn give_up_patched_fields(&self, cluster: &Cluster, applied: &K) {
        let is_patched = |entry: &ManagedFieldsEntry| {
            entry.manager.as_deref() == Some(FIELD_MANAGER)
                && entry.operation.as_deref() == Some("Update")
                && entry.subresource.is_none()
        };
        let (patched, kept): (Vec<_>, Vec<_>) = applied.managed_fields().iter().cloned().partition(is_patched);
        if patched.is_empty() {
            return;
        }
        if let Err(error) = cluster.keep_managed_fields(applied, &kept).await {
            tracing::warn!(object = self.title(), %error, "patched fields are still owned twice");
        }
    }
}
