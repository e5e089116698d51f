//! References to Secrets in the hub's namespace.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Reference to a Secret in the hub's namespace.
#[derive(JsonSchema, Clone, Debug, Deserialize, Serialize, PartialEq)]
pub struct SecretReference {
    /// name is the name of the Secret.
    #[schemars(length(min = 1, max = 253), regex(pattern = r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$"))]
    pub name: String,
}

/// Value that is stored in a Secret.
#[derive(JsonSchema, Clone, Debug, Deserialize, Serialize, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct SecretValue {
    /// secretKeyRef is the entry of a Secret in the hub's namespace that contains the value.
    pub secret_key_ref: SecretKeyReference,
}

/// Reference to an entry of a Secret in the hub's namespace.
#[derive(JsonSchema, Clone, Debug, Deserialize, Serialize, PartialEq)]
pub struct SecretKeyReference {
    /// name is the name of the Secret.
    #[schemars(length(min = 1, max = 253), regex(pattern = r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$"))]
    pub name: String,

    /// key is the name of the entry.
    #[schemars(length(min = 1, max = 253), regex(pattern = r"^[-._a-zA-Z0-9]+$"))]
    pub key: String,
}
