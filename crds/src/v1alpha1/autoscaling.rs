//! `spec.autoscaling`: autoscaling of the pods.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::schema::triggers;

/// Autoscaling of a hub, by a HorizontalPodAutoscaler or by KEDA.
#[derive(KubeSchema, Clone, Debug, Deserialize, Serialize, PartialEq)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("!has(self.minReplicas) || self.minReplicas <= self.maxReplicas")
        .message("autoscaling.maxReplicas must be greater than or equal to autoscaling.minReplicas")
        .reason(Reason::FieldValueInvalid)
        .field_path(".minReplicas"),
    validation = Rule::new("!has(self.keda) || (!has(self.targetConnectionsPerReplica) && !has(self.targetCPUUtilizationPercentage))")
        .message("autoscaling.keda may not be specified together with targetConnectionsPerReplica or targetCPUUtilizationPercentage; remove autoscaling.keda or both targets")
        .reason(Reason::FieldValueForbidden)
        .field_path(".keda")
)]
pub struct Autoscaling {
    /// minReplicas is the lower limit of the number of pods. It must be from 1 to 1000. Defaults to `1`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1000))]
    pub min_replicas: Option<i32>,

    /// maxReplicas is the upper limit of the number of pods. It must be from 1 to 1000, and greater than or equal to
    /// minReplicas. More than 1 requires a backplane.
    #[schemars(range(min = 1, max = 1000))]
    pub max_replicas: i32,

    /// targetConnectionsPerReplica is the target number of connections per pod, on average. It must be at least 1. The
    /// cluster must serve the hub's metric `notification_hub_connections` for pods (`custom.metrics.k8s.io`), for
    /// example with prometheus-adapter. Defaults to none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub target_connections_per_replica: Option<i32>,

    /// targetCPUUtilizationPercentage is the target CPU utilization of the hub's container, on average over all pods, in percent of its
    /// CPU request. It must be from 1 to 10000. The cluster must serve metrics of pods (`metrics.k8s.io`), for example
    /// with metrics-server. If targetConnectionsPerReplica is also set, the target that needs more pods decides. Defaults to
    /// `80`, or to none if targetConnectionsPerReplica is set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 10000))]
    #[serde(rename = "targetCPUUtilizationPercentage")]
    pub target_cpu_utilization_percentage: Option<i32>,

    /// keda scales the hub with a ScaledObject of KEDA instead of a HorizontalPodAutoscaler. It may not be specified
    /// together with targetConnectionsPerReplica or targetCPUUtilizationPercentage. While the cluster does not serve ScaledObjects, the
    /// number of pods does not change.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub keda: Option<Keda>,
}

/// Autoscaling by KEDA.
#[derive(JsonSchema, Clone, Debug, Default, Deserialize, Serialize, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct Keda {
    /// triggers are the triggers of the ScaledObject, at most 32. Defaults to the length of the queue (1000 messages
    /// per pod) if source.azureQueue.connectionString is set, and to a CPU utilization of 80 percent otherwise.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "triggers")]
    pub triggers: Vec<Value>,
}
