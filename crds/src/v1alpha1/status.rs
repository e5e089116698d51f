//! `status`: the observed state of a hub.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Most recently observed status of the hub. Written by the operator. Read-only.
#[derive(KubeSchema, Clone, Debug, Default, Deserialize, Serialize, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct NotificationHubStatus {
    /// observedGeneration is the generation of the resource that this status describes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,

    /// conditions are the latest observations of the state of the hub, with one condition of each type: Ready,
    /// Available, Progressing, Degraded, SpecValid, ReferencesResolved, Exposed, Paused, and Conflict.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["type".into()]))]
    pub conditions: Vec<Condition>,

    /// replicas is the number of existing pods.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replicas: Option<i32>,

    /// readyReplicas is the number of ready pods.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ready_replicas: Option<i32>,

    /// selector is the label selector of the pods in string form. Autoscalers read it through the scale subresource.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub selector: Option<String>,

    /// source is the source of notifications: `Direct` or `AzureQueue`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<SourceKind>,

    /// url is the URL that clients inside the cluster connect to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,

    /// sendURL is the base URL that senders post to, without the path `/send`. It is set only with source.direct.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[serde(rename = "sendURL")]
    pub send_url: Option<String>,

    /// image is the container image that the pods run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image: Option<String>,

    /// connections is the number of connections on all pods. The operator updates it at most once a minute, and only if
    /// it changed by at least 10 percent. It stays unchanged while a ready pod does not report its number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub connections: Option<i64>,

    /// keys are the times of the last and the next rotation of the generated key. It is set only with auth.generate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub keys: Option<KeyTimes>,
}

/// Times of the rotation of a generated key.
#[derive(JsonSchema, Clone, Debug, Deserialize, Serialize, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct KeyTimes {
    /// lastRotationTime is the time at which the current key began to sign tokens.
    pub last_rotation_time: Time,
    /// nextRotationTime is the time at which the next key replaces the current key.
    pub next_rotation_time: Time,
}

/// Kind of a source of notifications.
// In the CRD, the description of an optional enum replaces that of the field.
#[derive(JsonSchema, Clone, Copy, Debug, Deserialize, Serialize, PartialEq, Eq)]
#[schemars(description = "source is the source of notifications: `Direct` or `AzureQueue`.")]
pub enum SourceKind {
    /// Senders post notifications to the hub.
    Direct,
    /// The hub receives notifications from an Azure Storage queue.
    AzureQueue,
}
