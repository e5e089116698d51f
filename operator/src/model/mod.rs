//! A hub whose spec and references are validated: the only input of the builders. No I/O.

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

/// A hub that can be built.
#[derive(Clone, Debug)]
pub struct ValidatedHub {
    /// Its name, from which its children's names are made.
    pub name: HubName,
    /// Its namespace.
    pub namespace: String,
    /// The reference by which its children belong to it.
    pub owner: OwnerReference,
    /// Labels and annotations that its children inherit.
    pub inherited: Inherited,
    /// Number of pods.
    pub scale: Scale,
    /// Image of the pods.
    pub image: ImageReference,
    /// When the image is pulled.
    pub pull_policy: Option<PullPolicy>,
    /// Credentials for its registry.
    pub pull_secrets: Vec<String>,
    /// Where its notifications come from.
    pub source: Source,
    /// What connects several replicas.
    pub backplane: Option<Backplane>,
    /// Requirements on tokens.
    pub tokens: TokenSettings,
    /// How clients are caught up that missed pushes.
    pub catch_up: CatchUp,
    /// How many clients a pod lets in.
    pub limits: Limits,
    /// What pods write.
    pub log: Log,
    /// Networking and monitoring of its pods.
    pub networking: Networking,
    /// The installation's id.
    pub installation_id: Option<String>,
    /// The keys that the operator keeps for it.
    pub generated: Option<RotationPlan>,
    /// The Secret with keys of the user's.
    pub signing_keys: Option<String>,
    /// What is merged over the built pod template.
    pub pod_template: Option<PodTemplateSpec>,
}

/// Requirements on tokens, independent of their keys. The hub decides what is not set.
#[derive(Clone, Debug, Default)]
pub struct TokenSettings {
    /// The identity server.
    pub authority: Option<String>,
    /// The issuer that they have to name.
    pub issuer: Option<String>,
    /// The audiences of which they have to name one.
    pub audiences: Vec<String>,
    /// How far clocks may differ.
    pub clock_skew: Option<String>,
}
