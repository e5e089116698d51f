//! `spec.source`: the source of notifications.

use k8s_openapi::api::networking::v1::NetworkPolicyPeer;
use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::AzureQueue;
use crate::schema::network_policy_peers;

/// Source of notifications. Exactly one of direct and azureQueue must be set.
///
/// A struct of options with a validation rule. A Rust enum would become a `oneOf`, whose error messages do not name the field.
#[derive(KubeSchema, Clone, Debug, Default, Deserialize, Serialize, PartialEq)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("has(self.direct) != has(self.azureQueue)")
        .message("source must specify exactly one of direct and azureQueue; direct may be empty ({})")
)]
#[schemars(description = "Source of notifications. Exactly one of direct and azureQueue must be set.")]
pub struct Source {
    /// direct makes senders post notifications to `/send` on the hub's internal Service. status.sendURL is the base
    /// URL.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub direct: Option<Direct>,

    /// azureQueue makes the hub receive notifications from an Azure Storage queue. The hub then has no internal
    /// Service.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub azure_queue: Option<AzureQueue>,
}

/// Source of notifications that senders post to the hub.
#[derive(JsonSchema, Clone, Debug, Default, Deserialize, Serialize, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct Direct {
    /// allowFrom are the peers that may connect to the port for senders, as in a NetworkPolicy, at most 32. Every
    /// sender needs a token in addition. Requires networkPolicy.enabled. Defaults to the pods of the hub's namespace.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "network_policy_peers")]
    pub allow_from: Vec<NetworkPolicyPeer>,
}
