//! References to Secrets of the hub's namespace.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A Secret in the hub's namespace.
#[derive(JsonSchema, Clone, Debug, Deserialize, Serialize, PartialEq)]
pub struct SecretReference {
    /// Name of the Secret.
    #[schemars(length(min = 1, max = 253), regex(pattern = r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$"))]
    pub name: String,
}

/// A value that is kept in a Secret.
#[derive(JsonSchema, Clone, Debug, Deserialize, Serialize, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct SecretValue {
    /// The entry of the Secret.
    pub secret_key_ref: SecretKeyReference,
}

/// An entry of a Secret in the hub's namespace.
#[derive(JsonSchema, Clone, Debug, Deserialize, Serialize, PartialEq)]
pub struct SecretKeyReference {
    /// Name of the Secret.
    #[schemars(length(min = 1, max = 253), regex(pattern = r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$"))]
    pub name: String,

    /// Its entry.
    #[schemars(length(min = 1, max = 253), regex(pattern = r"^[-._a-zA-Z0-9]+$"))]
    pub key: String,
}
