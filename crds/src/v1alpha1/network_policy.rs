//! `spec.networkPolicy`: who may reach the hub's pods.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A NetworkPolicy for the hub's pods.
#[derive(JsonSchema, Clone, Debug, Default, Deserialize, Serialize, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct NetworkPolicy {
    /// Whether it is wanted.
    pub enabled: bool,
}
