//! ScaledObject of KEDA. No I/O.

use k8s_openapi::api::autoscaling::v2::HorizontalPodAutoscalerBehavior;
use kube::CustomResource;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Spec of a ScaledObject.
#[derive(CustomResource, Clone, Debug, Default, Deserialize, Serialize, PartialEq)]
#[kube(
    group = "keda.sh",
    version = "v1alpha1",
    kind = "ScaledObject",
    namespaced,
    schema = "disabled",
    derive = "PartialEq",
    doc = "Autoscaling of a Deployment by KEDA."
)]
#[serde(rename_all = "camelCase")]
pub struct ScaledObjectSpec {
    /// The Deployment that is scaled.
    pub scale_target_ref: ScaleTarget,
    /// Minimum number of pods.
    pub min_replica_count: i32,
    /// Maximum number of pods.
    pub max_replica_count: i32,
    /// Triggers, each in the format of its scaler.
    pub triggers: Vec<Value>,
    /// Advanced settings.
    #[serde(default)]
    pub advanced: Advanced,
}

/// Reference to a Deployment.
#[derive(Clone, Debug, Default, Deserialize, Serialize, PartialEq)]
pub struct ScaleTarget {
    /// Name of the Deployment.
    pub name: String,
}

/// Advanced settings of a ScaledObject.
#[derive(Clone, Debug, Default, Deserialize, Serialize, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct Advanced {
    /// Settings of the HorizontalPodAutoscaler that KEDA creates.
    #[serde(default)]
    pub horizontal_pod_autoscaler_config: HpaConfig,
}

/// Settings of the HorizontalPodAutoscaler that KEDA creates.
#[derive(Clone, Debug, Default, Deserialize, Serialize, PartialEq)]
pub struct HpaConfig {
    /// Scaling behavior.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub behavior: Option<HorizontalPodAutoscalerBehavior>,
}
