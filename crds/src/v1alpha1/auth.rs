//! `spec.auth`: which keys sign the tokens that the hub accepts.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Which keys sign the tokens that the hub accepts: at least one of its fields.
#[derive(KubeSchema, Clone, Debug, Default, Deserialize, Serialize, PartialEq)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("has(self.generate) || has(self.signingKeys)")
        .message("without a key nobody can connect: give auth.generate, auth.signingKeys or both")
)]
pub struct Auth {
    /// The operator makes a key pair and keeps it in the Secret `<name>-jwt`: `private.pem` for whoever signs tokens,
    /// `jwks.json` with the public key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub generate: Option<Generate>,

    /// Keys of your own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signing_keys: Option<SigningKeys>,
}

/// A key pair made by the operator.
#[derive(JsonSchema, Clone, Debug, Default, Deserialize, Serialize, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct Generate {
    /// The algorithm of the key, RS256 by default. A change makes a new key: tokens signed by the old one are refused
    /// from then on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub algorithm: Option<KeyAlgorithm>,
}

/// The algorithm of the key: RS256 (RSA with 2048 bits, the default) or ES256 (ECDSA on P-256). A change makes a new
/// key: tokens signed by the old one are refused from then on.
#[derive(JsonSchema, Clone, Copy, Debug, Default, Deserialize, Serialize, PartialEq, Eq)]
pub enum KeyAlgorithm {
    /// RSA (2048 bits) with SHA-256.
    #[default]
    RS256,
    /// ECDSA on P-256 with SHA-256.
    ES256,
}

/// Keys in a Secret. Every key is accepted, each with its own algorithm only.
#[derive(JsonSchema, Clone, Debug, Deserialize, Serialize, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct SigningKeys {
    /// The Secret. Its entries `*.pem` (public or private key), `*.jwks.json` and `*.secret` (HS256, at least 32 bytes)
    /// are read; a change reaches the running hub without a restart.
    pub secret_ref: SecretReference,
}

/// A Secret in the hub's namespace.
#[derive(JsonSchema, Clone, Debug, Deserialize, Serialize, PartialEq)]
pub struct SecretReference {
    /// Name of the Secret.
    #[schemars(length(min = 1, max = 253), regex(pattern = r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$"))]
    pub name: String,
}
