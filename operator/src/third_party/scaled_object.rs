//! KEDA's ScaledObject.

use k8s_openapi::api::autoscaling::v2::HorizontalPodAutoscalerBehavior;
use kube::CustomResource;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// How something is scaled.
#[derive(CustomResource, Clone, Debug, Default, Deserialize, Serialize, PartialEq)]
#[kube(
    group = "keda.sh",
    version = "v1alpha1",
    kind = "ScaledObject",
    namespaced,
    schema = "disabled",
    derive = "PartialEq",
    doc = "Has KEDA decide how many pods there are."
)]
#[serde(rename_all = "camelCase")]
pub struct ScaledObjectSpec {
    /// What is scaled.
    pub scale_target_ref: ScaleTarget,
    /// At least.
    pub min_replica_count: i32,
    /// At most.
    pub max_replica_count: i32,
    /// What decides; each as its scaler has it.
    pub triggers: Vec<Value>,
    /// More of it.
    #[serde(default)]
    pub advanced: Advanced,
}

/// A Deployment.
#[derive(Clone, Debug, Default, Deserialize, Serialize, PartialEq)]
pub struct ScaleTarget {
    /// Its name.
    pub name: String,
}

/// More of a ScaledObject.
#[derive(Clone, Debug, Default, Deserialize, Serialize, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct Advanced {
    /// What the HorizontalPodAutoscaler is like that KEDA makes.
    #[serde(default)]
    pub horizontal_pod_autoscaler_config: HpaConfig,
}

/// What a HorizontalPodAutoscaler of KEDA's is like.
#[derive(Clone, Debug, Default, Deserialize, Serialize, PartialEq)]
pub struct HpaConfig {
    /// How fast pods come and go.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub behavior: Option<HorizontalPodAutoscalerBehavior>,
}
