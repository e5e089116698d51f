//! Defaults of every hub, from the operator's configuration. No I/O.

use notification_hub_crds::v1alpha1::PullPolicy;

use super::image::ImageReference;
use super::inheritance::Inheritance;

/// Defaults of every hub, from the operator's configuration.
#[derive(Clone, Debug)]
pub struct Defaults {
    /// Image of hubs without `spec.image`.
    pub image: ImageReference,
    /// Pull policy of hubs without `spec.image.pullPolicy`. `None` means the policy that Kubernetes chooses.
    pub pull_policy: Option<PullPolicy>,
    /// Names of the pull secrets of hubs without `spec.image.pullSecrets`, in the namespace of each hub.
    pub pull_secrets: Vec<String>,
    /// Names of the labels and annotations that children inherit.
    pub inheritance: Inheritance,
}
