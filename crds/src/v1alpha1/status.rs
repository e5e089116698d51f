//! `status`: what the operator has seen and made.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What the operator has seen and made.
#[derive(KubeSchema, Clone, Debug, Default, Deserialize, Serialize, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct NotificationHubStatus {
    /// The generation of the spec that this status is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,

    /// What there is to say of the hub, one of each type: Ready, Available, Progressing, Degraded, SpecValid,
    /// ReferencesResolved, Exposed, Paused and Conflict.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["type".into()]))]
    pub conditions: Vec<Condition>,

    /// Pods that exist.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replicas: Option<i32>,

    /// Pods that are ready.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ready_replicas: Option<i32>,

    /// Label selector of the pods, as text: autoscalers read it through `/scale`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub selector: Option<String>,

    /// Where notifications come from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<SourceKind>,

    /// Where clients inside the cluster connect.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,

    /// Base of the address that a sender posts to: `/send` comes behind it. Only with the source `direct`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub send_url: Option<String>,

    /// The image that the pods run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image: Option<String>,

    /// Clients that are connected. Refreshed at most once a minute, and only when it has moved by a tenth; it stays as it
    /// is while a pod that serves does not tell.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub connections: Option<i64>,

    /// When the generated key was and will be replaced. Only with `auth.generate`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub keys: Option<KeyTimes>,
}

/// When the generated key was and will be replaced.
#[derive(JsonSchema, Clone, Debug, Deserialize, Serialize, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct KeyTimes {
    /// Since when the present key is the one to sign with.
    pub last_rotation: Time,
    /// When the next one will be.
    pub next_rotation: Time,
}

/// Where notifications come from.
#[derive(JsonSchema, Clone, Copy, Debug, Deserialize, Serialize, PartialEq, Eq)]
pub enum SourceKind {
    /// They are posted to the hub.
    Direct,
    /// They are put on an Azure Storage queue.
    AzureQueue,
}
