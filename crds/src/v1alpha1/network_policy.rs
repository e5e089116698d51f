//! `spec.networkPolicy`: restriction of connections to the hub's pods.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// NetworkPolicy of the hub's pods.
#[derive(JsonSchema, Clone, Debug, Default, Deserialize, Serialize, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct NetworkPolicy {
    /// enabled specifies whether the operator creates the NetworkPolicy.
    pub enabled: bool,
}
