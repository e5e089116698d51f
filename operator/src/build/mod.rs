//! From a validated hub to the objects that should exist. Pure.

mod checksum;
mod config_file;
mod metadata;
mod overrides;
mod pod;
pub mod ports;
mod protected;
mod resource;
mod round_trip;
mod spread;

pub use config_file::{
    CONFIG_FILE, CONFIG_FOLDER, CONNECTION_STRING, GENERATED_KEYS_FOLDER, LOG_LEVEL, REDIS_CA_FOLDER, REDIS_PASSWORD,
    REDIS_URL, SIGNING_KEYS_FOLDER, TOKENS_FOLDER,
};
pub use overrides::{Understood, understand};
pub use round_trip::lost;

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::autoscaling::v2::HorizontalPodAutoscaler;
use k8s_openapi::api::core::v1::{ConfigMap, Secret, Service, ServiceAccount};
use k8s_openapi::api::networking::v1::{Ingress, NetworkPolicy};
use k8s_openapi::api::policy::v1::PodDisruptionBudget;

use crate::keys::{KeyPair, Plan};
use crate::model::ValidatedHub;

/// Every object that should exist.
#[derive(Clone, Debug)]
pub struct Desired {
    /// The pods' identity.
    pub service_account: ServiceAccount,
    /// The hub's configuration.
    pub config_map: ConfigMap,
    /// The generated keys, if they are wanted.
    pub jwt_secret: Option<KeySecret>,
    /// The key that replicas share, if there may be several.
    pub tokens_secret: Option<Secret>,
    /// The Service for clients.
    pub public_service: Service,
    /// The Service for senders, if they post to the hub.
    pub internal_service: Option<Service>,
    /// The Service for whoever collects metrics.
    pub metrics_service: Service,
    /// How many pods may be taken from it at once, if there are several.
    pub pod_disruption_budget: Option<PodDisruptionBudget>,
    /// The way from outside, if one is asked for.
    pub ingress: Option<Ingress>,
    /// Who may reach the pods, if that is to be bounded.
    pub network_policy: Option<NetworkPolicy>,
    /// The pods. With an autoscaler their number is what a new hub begins with.
    pub deployment: Deployment,
    /// Who decides how many there are, if the spec does not.
    pub horizontal_pod_autoscaler: Option<HorizontalPodAutoscaler>,
}

/// The Secret with the generated keys. A key that it lacks is made when nothing is in the way of writing it.
#[derive(Clone, Debug)]
pub struct KeySecret {
    /// The Secret, with the keys that there are.
    pub secret: Secret,
    /// What it should hold, if it lacks a key.
    pub unfinished: Option<Plan>,
}

/// Puts a key that was made into the Secret that lacks it.
pub fn finish(secret: &mut Secret, unfinished: Plan, made: KeyPair) {
    secret.data = Some(unfinished.with(made).entries());
}

/// Builds every object of a hub, or says why its pod template makes no pod.
pub fn build(hub: &ValidatedHub) -> Result<Desired, Vec<String>> {
    let config = config_file::text(hub);
    let deployment = resource::deployment::build(hub, &config)?;
    Ok(Desired {
        service_account: resource::service_account::build(hub),
        config_map: resource::config_map::build(hub, &config),
        jwt_secret: hub.generated.as_ref().map(|plan| resource::secret::jwt(hub, plan)),
        tokens_secret: hub.backplane.as_ref().map(|it| resource::secret::tokens(hub, &it.token_key)),
        public_service: resource::service::public(hub),
        internal_service: hub.source.is_direct().then(|| resource::service::internal(hub)),
        metrics_service: resource::service::metrics(hub),
        pod_disruption_budget: resource::pod_disruption_budget::build(hub),
        ingress: hub.surroundings.ingress.as_ref().map(|it| resource::ingress::build(hub, it)),
        network_policy: hub.surroundings.network_policy.as_ref().map(|it| resource::network_policy::build(hub, it)),
        deployment,
        horizontal_pod_autoscaler: hub.scale.automatic().map(|it| resource::horizontal_pod_autoscaler::build(hub, it)),
    })
}
