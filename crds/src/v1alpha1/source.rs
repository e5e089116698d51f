//! `spec.source`: where notifications come from.

use k8s_openapi::api::networking::v1::NetworkPolicyPeer;
use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::AzureQueue;
use crate::schema::network_policy_peers;

/// Where notifications come from: exactly one of its fields.
///
/// A struct of options with a rule, since a Rust enum becomes a `oneOf` whose messages nobody understands.
#[derive(KubeSchema, Clone, Debug, Default, Deserialize, Serialize, PartialEq)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("has(self.direct) != has(self.azureQueue)")
        .message("say where notifications come from: give either source.direct, which may be empty ({}), or source.azureQueue")
)]
#[schemars(description = "Where notifications come from: exactly one of its fields. It may be changed at any time.")]
pub struct Source {
    /// The sender posts notifications to `/send` on the hub's internal Service, whose address is in `status.sendUrl`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub direct: Option<Direct>,

    /// The sender puts notifications on an Azure Storage queue; there is no internal Service.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub azure_queue: Option<AzureQueue>,
}

/// Notifications posted to the hub.
#[derive(JsonSchema, Clone, Debug, Default, Deserialize, Serialize, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct Direct {
    /// Who may post, as peers of a NetworkPolicy. Only with `networkPolicy.enabled`. A token is asked for in any case.
    /// Defaults to the pods of the hub's namespace.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "network_policy_peers")]
    pub allow_from: Vec<NetworkPolicyPeer>,
}
