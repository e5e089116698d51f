//! A hub whose spec and references have been checked: the only thing that builders see. Pure.

pub mod image;
pub mod labels;
pub mod names;
pub mod ownership;

use k8s_openapi::api::core::v1::PodTemplateSpec;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use notification_hub_crds::v1alpha1::PullPolicy;

use crate::keys::KeyPair;
use image::ImageReference;
use names::HubName;

/// Name of the hub's container in its pods.
pub const CONTAINER: &str = "hub";

/// A hub that can be built.
#[derive(Clone, Debug)]
pub struct ValidatedHub {
    /// Its name, from which its children's names are made.
    pub name: HubName,
    /// Its namespace.
    pub namespace: String,
    /// The reference by which its children belong to it.
    pub owner: OwnerReference,
    /// How many pods.
    pub replicas: i32,
    /// What they run.
    pub image: ImageReference,
    /// When the image is pulled.
    pub pull_policy: Option<PullPolicy>,
    /// Credentials for its registry.
    pub pull_secrets: Vec<String>,
    /// The installation's id.
    pub installation_id: Option<String>,
    /// The key pair that the operator keeps for it.
    pub generated: Option<KeyPair>,
    /// The Secret with keys of the user's.
    pub signing_keys: Option<String>,
    /// What is merged over the built pod template.
    pub pod_template: Option<PodTemplateSpec>,
}
