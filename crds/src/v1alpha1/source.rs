//! `spec.source`: where notifications come from.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Where notifications come from: exactly one of its fields.
///
/// A struct of options with a rule, since a Rust enum becomes a `oneOf` whose messages nobody understands.
#[derive(KubeSchema, Clone, Debug, Default, Deserialize, Serialize, PartialEq)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("has(self.direct)").message("say where notifications come from: give source.direct, which may be empty ({})")
)]
#[schemars(description = "Where notifications come from: exactly one of its fields.")]
pub struct Source {
    /// The sender posts notifications to `/send` on the hub's internal Service, whose address is in `status.sendUrl`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub direct: Option<Direct>,
}

/// Notifications posted to the hub. It has no settings yet.
#[derive(JsonSchema, Clone, Debug, Default, Deserialize, Serialize, PartialEq)]
pub struct Direct {}
