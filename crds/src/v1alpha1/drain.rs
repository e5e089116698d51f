//! `spec.drain`: how a pod closes its connections before it ends.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::schema::duration;

/// Drain of a pod that ends.
#[derive(JsonSchema, Clone, Debug, Default, Deserialize, Serialize, PartialEq)]
pub struct Drain {
    /// duration is the time over which a pod closes its connections before it ends, as a duration such as `2m`. The
    /// connections are closed evenly over that time, so that the clients reconnect to the other pods gradually. The
    /// termination grace period of the pods is extended accordingly. Defaults to `60s`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "duration")]
    pub duration: Option<String>,
}
