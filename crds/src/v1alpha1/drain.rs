//! `spec.drain`: how a pod that goes lets go of its clients.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::schema::duration;

/// How a pod that goes lets go of its clients.
#[derive(JsonSchema, Clone, Debug, Default, Deserialize, Serialize, PartialEq)]
pub struct Drain {
    /// Over how long: they come back to the other pods one after another. Kubernetes gives the pod as long as that takes.
    /// Defaults to `60s`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "duration")]
    pub duration: Option<String>,
}
