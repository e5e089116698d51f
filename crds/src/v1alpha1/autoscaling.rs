//! `spec.autoscaling`: as many pods as are needed.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::schema::triggers;

/// As many pods as are needed, by a HorizontalPodAutoscaler or by KEDA. Pods are taken away slowly, since their clients have
/// to connect again.
#[derive(KubeSchema, Clone, Debug, Deserialize, Serialize, PartialEq)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("!has(self.minReplicas) || self.minReplicas <= self.maxReplicas")
        .message("there cannot be fewer pods at most than at least: lower autoscaling.minReplicas, or raise autoscaling.maxReplicas")
        .reason(Reason::FieldValueInvalid)
        .field_path(".minReplicas"),
    validation = Rule::new("!has(self.keda) || (!has(self.connectionsPerReplica) && !has(self.cpuUtilization))")
        .message("with KEDA its triggers decide: leave autoscaling.connectionsPerReplica and cpuUtilization out, or autoscaling.keda")
        .reason(Reason::FieldValueForbidden)
        .field_path(".keda")
)]
pub struct Autoscaling {
    /// How many pods there are at least. Defaults to `1`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1000))]
    pub min_replicas: Option<i32>,

    /// How many pods there are at most. More than 1 need a backplane.
    #[schemars(range(min = 1, max = 1000))]
    pub max_replicas: i32,

    /// How many clients a pod should have. The cluster has to serve the hub's metric `notification_hub_connections` as one
    /// of pods (custom.metrics.k8s.io), as prometheus-adapter does. Defaults to none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub connections_per_replica: Option<i32>,

    /// How many percent of the CPU that it requests a pod should use. The cluster has to serve the metrics of pods
    /// (metrics.k8s.io), as metrics-server does. With connectionsPerReplica there are as many pods as the one of both needs
    /// that needs more. Defaults to `80` (none with connectionsPerReplica).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 10000))]
    pub cpu_utilization: Option<i32>,

    /// By a ScaledObject of KEDA instead of a HorizontalPodAutoscaler. Where the cluster does not know ScaledObjects, the
    /// number of pods stays what it is until it does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub keda: Option<Keda>,
}

/// Autoscaling by KEDA.
#[derive(JsonSchema, Clone, Debug, Default, Deserialize, Serialize, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct Keda {
    /// What decides, as triggers of a ScaledObject. Defaults to the length of the queue, 1000 notifications for each pod,
    /// where the hub has a connection string for one; else to 80 percent of the CPU that a pod requests.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "triggers")]
    pub triggers: Vec<Value>,
}
