//! Step 4: writes the children, but never over somebody else's object.
//!
//! All or nothing, whatever the API server answers at whichever write. What runs is decided by one object, the Deployment: its
//! pod template has the whole configuration in it, and names the Secrets. It is asked for first, by a dry run, so that what
//! is refused changes nothing at all. What is written before it is nothing to the pods that run: a Secret of the operator's
//! has what they know in it until no pod needs it any more, and what a spec does not want any more goes after the rollout. What
//! is written after it is nothing that pods read. The level of the log alone is in force at once, by itself.

mod look;
mod wanted;
mod write;

use std::collections::BTreeSet;

use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use kube::ResourceExt;
use notification_hub_crds::NotificationHub;

use super::change::Change;
use super::child::Error;
use super::prune::{self, Autoscalers};
use super::{Live, Scope, hand_over};
use crate::build::{self, Desired, KeySecret};
use crate::cluster::Cluster;
use crate::conditions::Exposure;
use crate::keys::{KeyPair, Missing, NEXT_ENTRY, NoKey, PRIVATE_ENTRY, Plan};
use look::Look;
use wanted::Wanted;
use write::Write;

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
    let http_route = look.at_third_party(http_route).await?;
    let service_monitor = look.at_third_party(service_monitor).await?;
    let pod_monitor = look.at_third_party(pod_monitor).await?;
    let network_policy = look.at_some(network_policy).await?;
    let mut deployment = look.at(deployment).await?;
    let horizontal_pod_autoscaler = look.at_some(horizontal_pod_autoscaler).await?;
    let scaled_object = look.at_third_party(scaled_object).await?;
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
    let exposure =
        Exposure { ingress: write.some_seen(ingress).await?, http_route: write.some_seen(http_route).await? };
    write.some_child(service_monitor).await?;
    write.some_child(pod_monitor).await?;
    write.some_child(scaled_object).await?;
    if let Some(error) = look.forbidden {
        return Err(error);
    }
    let live = Live { deployment, exposure };
    Ok(Verdict::Applied(Box::new(Applied { live, uids: write.uids, changes: write.changes, is_queued })))
}

/// Makes the key that the Secret lacks: now that it will be written.
async fn with_key(
    cluster: &Cluster,
    secret: Option<Wanted<Secret>>,
    unfinished: Option<Plan>,
) -> Result<Option<Wanted<Secret>>, Error> {
    let (mut secret, plan) = match (secret, unfinished) {
        (Some(secret), Some(plan)) => (secret, plan),
        (secret, _) => return Ok(secret),
    };
    if cluster.is_dry_run() {
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
