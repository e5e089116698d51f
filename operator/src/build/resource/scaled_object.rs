//! The ScaledObject, with which KEDA scales the hub. No I/O.

use serde_json::{Value, json};

use super::horizontal_pod_autoscaler::scaling_behavior;
use crate::build::{CONNECTION_STRING_VARIABLE, metadata};
use crate::model::scale::{Autoscaling, DEFAULT_CPU_PERCENT};
use crate::model::source::{AzureQueue, Credential, Source};
use crate::model::{HUB_CONTAINER, ValidatedHub};
use crate::third_party::{Advanced, HpaConfig, ScaleTarget, ScaledObject, ScaledObjectSpec};

/// Queue length per pod that KEDA targets if the spec gives no triggers.
const DEFAULT_QUEUE_LENGTH: u32 = 1000;

/// Returns the ScaledObject with these triggers, or with a default trigger if there are none.
pub(in crate::build) fn build(hub: &ValidatedHub, autoscaling: &Autoscaling, triggers: &[Value]) -> ScaledObject {
    ScaledObject {
        metadata: metadata::for_child(hub, hub.name.as_str()),
        spec: ScaledObjectSpec {
            scale_target_ref: ScaleTarget { name: hub.name.to_string() },
            min_replica_count: autoscaling.min_replicas,
            max_replica_count: autoscaling.max_replicas,
            triggers: if triggers.is_empty() { vec![default_trigger(&hub.source)] } else { triggers.to_vec() },
            advanced: Advanced { horizontal_pod_autoscaler_config: HpaConfig { behavior: Some(scaling_behavior()) } },
        },
    }
}

/// Returns the trigger of a spec without triggers: the length of the queue if the hub has its connection string, else CPU
/// utilization. KEDA requires all values as strings.
fn default_trigger(source: &Source) -> Value {
    match source {
        Source::AzureQueue(AzureQueue { name, credential: Credential::ConnectionString(_), .. }) => json!({
            "type": "azure-queue",
            "metadata": {
                "queueName": name, "queueLength": DEFAULT_QUEUE_LENGTH.to_string(),
                "connectionFromEnv": CONNECTION_STRING_VARIABLE,
            },
        }),
        Source::AzureQueue(_) | Source::Direct => json!({
            "type": "cpu",
            "metricType": "Utilization",
            "metadata": { "value": DEFAULT_CPU_PERCENT.to_string(), "containerName": HUB_CONTAINER },
        }),
    }
}
