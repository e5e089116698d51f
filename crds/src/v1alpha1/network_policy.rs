//! `spec.networkPolicy`: who may reach the hub's pods.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A NetworkPolicy for the hub's pods, which has the hub's name. Clients (port 5000) and whoever collects metrics (9090)
/// may come from anywhere, senders (5001) from where `source.direct.allowFrom` says; no other port is reached, and what
/// the pods connect to is not restricted. It is the cluster's network plugin that enforces it: one that knows no
/// NetworkPolicy lets everything through.
#[derive(JsonSchema, Clone, Debug, Default, Deserialize, Serialize, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct NetworkPolicy {
    /// Whether it is wanted.
    pub enabled: bool,
}
