//! A validated hub, which is the only input of the builders. No I/O.

pub mod backplane;
pub mod defaults;
pub mod duration;
pub mod fingerprint;
pub mod image;
pub mod inheritance;
pub mod labels;
pub mod names;
pub mod networking;
pub mod ownership;
pub mod ports;
pub mod references;
pub mod scale;
mod secret_entry;
pub mod source;

use k8s_openapi::api::core::v1::PodTemplateSpec;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use notification_hub_crds::v1alpha1::{CatchUp, Limits, Log, PullPolicy};

use crate::keys::RotationPlan;
use backplane::Backplane;
pub use fingerprint::Fingerprint;
use image::ImageReference;
use inheritance::Inherited;
use names::HubName;
use networking::Networking;
use scale::Scale;
pub use secret_entry::SecretEntry;
use source::Source;

/// Name of the hub's container in its pods.
pub const HUB_CONTAINER: &str = "hub";

/// A hub whose spec and references are valid.
#[derive(Clone, Debug)]
pub struct ValidatedHub {
    /// Name of the hub, from which the names of its children are derived.
    pub name: HubName,
    /// Namespace of the hub and its children.
    pub namespace: String,
    /// Owner reference of the children.
    pub owner: OwnerReference,
    /// Labels and annotations that its children inherit.
    pub inherited: Inherited,
    /// Number of pods.
    pub scale: Scale,
    /// Image of the pods.
    pub image: ImageReference,
    /// Pull policy of the image, or `None` for the default of Kubernetes.
    pub pull_policy: Option<PullPolicy>,
    /// Names of the Secrets with credentials for the registry.
    pub pull_secrets: Vec<String>,
    /// Source of notifications.
    pub source: Source,
    /// Backplane of several replicas, or `None`.
    pub backplane: Option<Backplane>,
    /// Requirements on tokens.
    pub tokens: TokenSettings,
    /// Settings of catch-up for clients that missed pushes.
    pub catch_up: CatchUp,
    /// Limits of the connections of each pod.
    pub limits: Limits,
    /// Log level and format.
    pub log: Log,
    /// Networking and monitoring of its pods.
    pub networking: Networking,
    /// Bitwarden installation ID, or `None`.
    pub installation_id: Option<String>,
    /// Plan of the generated keys, or `None` without `auth.generate`.
    pub generated: Option<RotationPlan>,
    /// Name of the Secret with keys of the user, or `None`.
    pub signing_keys: Option<String>,
    /// Pod template that is merged over the built one, or `None`.
    pub pod_template: Option<PodTemplateSpec>,
}

/// Requirements on tokens, independent of their keys. The hub has defaults for values that are not set.
#[derive(Clone, Debug, Default)]
pub struct TokenSettings {
    /// URL of the identity server.
    pub authority: Option<String>,
    /// Required issuer.
    pub issuer: Option<String>,
    /// Audiences, one of which is required. Empty for any.
    pub audiences: Vec<String>,
    /// Tolerated difference of clocks, in the format of the hub.
    pub clock_skew: Option<String>,
}
