//! Builds the desired objects of a validated hub. No I/O.

mod checksum;
mod config_file;
mod metadata;
mod pod_template;
mod ports;
mod protected;
mod resource;
mod round_trip;
mod spread;
mod user_pod_template;

pub use config_file::{
    CONFIG_DIR, CONFIG_FILE, CONNECTION_STRING_VARIABLE, GENERATED_KEYS_DIR, LOG_LEVEL_FILE, REDIS_CA_DIR,
    REDIS_PASSWORD_VARIABLE, REDIS_URL_VARIABLE, SIGNING_KEYS_DIR, TOKENS_DIR,
};
pub use round_trip::lost_paths;
pub use user_pod_template::{ParsedPodTemplate, parse_pod_template};

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::autoscaling::v2::HorizontalPodAutoscaler;
use k8s_openapi::api::core::v1::{ConfigMap, Secret, Service, ServiceAccount};
use k8s_openapi::api::networking::v1::{Ingress, NetworkPolicy};
use k8s_openapi::api::policy::v1::PodDisruptionBudget;

use crate::keys::{KeyPair, RotationPlan};
use crate::model::ValidatedHub;
use crate::model::scale::Autoscaler;
use crate::third_party::{HttpRoute, PodMonitor, ScaledObject, ServiceMonitor};

/// Every object that should exist for a hub.
#[derive(Clone, Debug)]
pub struct DesiredObjects {
    /// The ServiceAccount of the pods.
    pub service_account: ServiceAccount,
    /// The ConfigMap with the log level. Other settings are part of the Deployment.
    pub config_map: ConfigMap,
    /// The Secret of the generated keys, or `None` if the spec does not ask for them.
    pub jwt_secret: Option<KeySecret>,
    /// The Secret of the connection token key, or `None` without a backplane.
    pub tokens_secret: Option<Secret>,
    /// The Service for clients.
    pub public_service: Service,
    /// The Service for senders, or `None` unless the source is direct.
    pub internal_service: Option<Service>,
    /// The Service for metrics.
    pub metrics_service: Service,
    /// The PodDisruptionBudget, or `None` for a hub of one pod.
    pub pod_disruption_budget: Option<PodDisruptionBudget>,
    /// The Ingress, or `None` if the spec does not ask for it.
    pub ingress: Option<Ingress>,
    /// The HTTPRoute, or `None` if the spec does not ask for it or the API server does not serve the kind.
    pub http_route: Option<HttpRoute>,
    /// The ServiceMonitor, or `None` as for the HTTPRoute.
    pub service_monitor: Option<ServiceMonitor>,
    /// The PodMonitor, or `None` as for the HTTPRoute.
    pub pod_monitor: Option<PodMonitor>,
    /// The NetworkPolicy, or `None` if the spec does not enable it.
    pub network_policy: Option<NetworkPolicy>,
    /// The Deployment of the pods.
    pub deployment: Deployment,
    /// Whether an autoscaler decides the number of pods after the Deployment is created.
    pub is_autoscaled: bool,
    /// The HorizontalPodAutoscaler, or `None` if the spec does not ask for it.
    pub horizontal_pod_autoscaler: Option<HorizontalPodAutoscaler>,
    /// The ScaledObject, or `None` as for the HTTPRoute.
    pub scaled_object: Option<ScaledObject>,
}

/// The Secret of the generated keys. A missing key is generated only when the Secret is about to be written.
#[derive(Clone, Debug)]
pub struct KeySecret {
    /// The Secret with the existing keys.
    pub secret: Secret,
    /// The plan that needs a generated key, or `None` if the Secret is complete.
    pub pending_plan: Option<RotationPlan>,
}

/// Adds a generated key to the Secret that lacks it.
pub fn add_generated_key(secret: &mut Secret, pending_plan: RotationPlan, generated: KeyPair) {
    secret.data = Some(pending_plan.into_ring(generated).entries());
}

/// Builds every object of a hub. The error lists what is invalid in its merged pod template.
pub fn build(hub: &ValidatedHub) -> Result<DesiredObjects, Vec<String>> {
    let config = config_file::text(hub);
    let deployment = resource::deployment::build(hub, &config)?;
    let networking = &hub.networking;
    let autoscaling = hub.scale.autoscaling();
    let (mut horizontal_pod_autoscaler, mut scaled_object) = (None, None);
    match autoscaling.and_then(|it| Some((it, it.autoscaler.as_ref()?))) {
        Some((autoscaling, Autoscaler::Targets(targets))) => {
            let built = resource::horizontal_pod_autoscaler::build(hub, autoscaling, targets);
            horizontal_pod_autoscaler = Some(built);
        }
        Some((autoscaling, Autoscaler::Keda(triggers))) => {
            scaled_object = Some(resource::scaled_object::build(hub, autoscaling, triggers));
        }
        None => {}
    }
    Ok(DesiredObjects {
        service_account: resource::service_account::build(hub),
        config_map: resource::config_map::build(hub),
        jwt_secret: hub.generated.as_ref().map(|plan| resource::secret::jwt(hub, plan)),
        tokens_secret: hub.backplane.as_ref().map(|it| resource::secret::tokens(hub, &it.token_key)),
        public_service: resource::service::public(hub),
        internal_service: hub.source.is_direct().then(|| resource::service::internal(hub)),
        metrics_service: resource::service::metrics(hub),
        pod_disruption_budget: resource::pod_disruption_budget::build(hub),
        ingress: networking.ingress.as_ref().map(|it| resource::ingress::build(hub, it)),
        http_route: networking.http_route.as_ref().map(|it| resource::http_route::build(hub, it)),
        service_monitor: networking.service_monitor.as_ref().map(|it| resource::monitor::service_monitor(hub, it)),
        pod_monitor: networking.pod_monitor.as_ref().map(|it| resource::monitor::pod_monitor(hub, it)),
        network_policy: networking.network_policy.as_ref().map(|it| resource::network_policy::build(hub, it)),
        deployment,
        is_autoscaled: autoscaling.is_some(),
        horizontal_pod_autoscaler,
        scaled_object,
    })
}
