//! `spec.image`: the container image of the hub.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Container image. Unset fields are those of the operator's default image.
#[derive(KubeSchema, Clone, Debug, Default, Deserialize, Serialize, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct Image {
    /// repository is the registry and the path of the image, without a tag, such as
    /// `registry.example.com/notification-hub/hub`. Defaults to the repository of the operator's default image.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(
        length(min = 1, max = 255),
        regex(
            pattern = r"^([a-zA-Z0-9][a-zA-Z0-9.-]*(:[0-9]+)?/)?[a-z0-9]+([._-]+[a-z0-9]+)*(/[a-z0-9]+([._-]+[a-z0-9]+)*)*$"
        )
    )]
    pub repository: Option<String>,

    /// tag is the tag of the image. Defaults to the tag of the operator's default image, or to none if digest is set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 128), regex(pattern = r"^[a-zA-Z0-9_][a-zA-Z0-9._-]*$"))]
    pub tag: Option<String>,

    /// digest is the digest of the image: `sha256:` followed by 64 hexadecimal digits. It takes precedence over the
    /// tag. Defaults to the digest of the operator's default image, or to none if repository or tag is set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 71), regex(pattern = r"^sha256:[a-f0-9]{64}$"))]
    pub digest: Option<String>,

    /// pullPolicy specifies when the image is pulled: `Always`, `IfNotPresent`, or `Never`. Defaults to the policy that
    /// Kubernetes chooses: `Always` for the tag `latest`, and `IfNotPresent` otherwise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pull_policy: Option<PullPolicy>,

    /// pullSecrets are Secrets in the hub's namespace with the credentials of the registry, at most 16. Defaults to
    /// none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".into()]))]
    pub pull_secrets: Vec<PullSecret>,
}

/// Policy that decides when the image is pulled.
// In the CRD, the description of an optional enum replaces that of the field.
#[derive(JsonSchema, Clone, Copy, Debug, Deserialize, Serialize, PartialEq, Eq)]
#[schemars(
    description = "pullPolicy specifies when the image is pulled: `Always`, `IfNotPresent`, or `Never`. Defaults to the \
        policy that Kubernetes chooses: `Always` for the tag `latest`, and `IfNotPresent` otherwise."
)]
pub enum PullPolicy {
    /// At every start of a pod.
    Always,
    /// If the node does not have the image.
    IfNotPresent,
    /// Never. The node must have the image.
    Never,
}

impl PullPolicy {
    /// All policies.
    pub const VARIANTS: [PullPolicy; 3] = [PullPolicy::Always, PullPolicy::IfNotPresent, PullPolicy::Never];

    /// Returns the name in the Kubernetes API.
    pub const fn as_str(self) -> &'static str {
        match self {
            PullPolicy::Always => "Always",
            PullPolicy::IfNotPresent => "IfNotPresent",
            PullPolicy::Never => "Never",
        }
    }
}

/// Reference to a Secret of type `kubernetes.io/dockerconfigjson`.
#[derive(JsonSchema, Clone, Debug, Deserialize, Serialize, PartialEq)]
pub struct PullSecret {
    /// name is the name of the Secret.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
}
