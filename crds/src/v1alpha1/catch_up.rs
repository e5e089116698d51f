//! `spec.catchUp`: catch-up of clients that missed pushes.

use kube::KubeSchema;
use serde::{Deserialize, Serialize};

use crate::schema::duration;

/// Catch-up of clients that missed pushes.
#[derive(KubeSchema, Clone, Debug, Default, Deserialize, Serialize, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct CatchUp {
    /// enabled specifies whether the hub sends a `SyncVault` to clients that missed a push while they were
    /// disconnected. The hub keeps answers to login requests in either case. Defaults to `true`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub enabled: Option<bool>,

    /// window is the time for which the hub remembers pushes and disconnected clients, as a duration such as `30m`. It
    /// must be greater than 0. Defaults to `10m`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "duration")]
    #[x_kube(
        validation = Rule::new("self.matches('[1-9]')")
            .message("catchUp.window must be greater than 0; to turn off catch-up, set catchUp.enabled to false")
    )]
    pub window: Option<String>,
}
