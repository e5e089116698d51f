//! `spec.catchUp`: clients that missed pushes.

use kube::KubeSchema;
use serde::{Deserialize, Serialize};

use crate::schema::duration;

/// Clients that were away while something was pushed to them are told to sync when they are back.
#[derive(KubeSchema, Clone, Debug, Default, Deserialize, Serialize, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct CatchUp {
    /// Whether they are. Defaults to `true`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub enabled: Option<bool>,

    /// How long it is remembered who missed what. Defaults to `10m`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "duration")]
    #[x_kube(
        validation = Rule::new("self.matches('[1-9]')")
            .message("catchUp.window has to be above 0; to turn the catch-up off, set catchUp.enabled to false")
    )]
    pub window: Option<String>,
}
