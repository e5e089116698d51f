//! `spec.auth`: which tokens the hub accepts.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::SecretReference;
use crate::schema::duration;

/// Which tokens the hub accepts: at least one of authority, generate and signingKeys says whose keys sign them.
#[derive(KubeSchema, Clone, Debug, Default, Deserialize, Serialize, PartialEq)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("has(self.authority) || has(self.generate) || has(self.signingKeys)")
        .message("without a key nobody can connect: give at least one of auth.authority, auth.generate and auth.signingKeys")
)]
pub struct Auth {
    /// The identity server, a base URL such as `http://bitwarden-identity:5000`: the hub finds the issuer and the keys
    /// there (OIDC discovery), and keeps the last good ones while it is away. Defaults to none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 2048), regex(pattern = r"^https?://[^/?#@\s][^?#@\s]*$"))]
    pub authority: Option<String>,

    /// The issuer that tokens have to name. Defaults to the authority's (any without an authority).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 2048), regex(pattern = r"^\S(.*\S)?$"))]
    pub issuer: Option<String>,

    /// Audiences of which tokens have to name one. Defaults to none: any will do.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16), inner(length(min = 1, max = 256)))]
    #[x_kube(merge_strategy = ListMerge::Set)]
    pub audiences: Vec<String>,

    /// How far the clocks of issuer and hub may differ. Defaults to `5m`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "duration")]
    pub clock_skew: Option<String>,

    /// The operator makes a key pair, rotates it, and keeps it in the Secret `<name>-jwt`: `private.pem` for whoever
    /// signs tokens, `jwks.json` with every public key that is valid.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub generate: Option<Generate>,

    /// Keys of your own. Every key is accepted, each with its own algorithm only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signing_keys: Option<SigningKeys>,
}

/// A key pair made and rotated by the operator.
#[derive(KubeSchema, Clone, Debug, Default, Deserialize, Serialize, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct Generate {
    /// The algorithm of the key. A change begins a rotation at once. Defaults to `RS256`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub algorithm: Option<KeyAlgorithm>,

    /// How long a key signs tokens: longer than overlap and three minutes. The next key is in the Secret three minutes
    /// before it becomes `private.pem`: as `next-private.pem`, its public half in `jwks.json`. Defaults to `720h`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "duration")]
    #[x_kube(
        validation = Rule::new("self.matches('[1-9]')")
            .message("a key has to be good for some time: set auth.generate.rotateEvery above 0")
    )]
    pub rotate_every: Option<String>,

    /// How long tokens of a key are accepted after it has been replaced: at least as long as they live. Defaults to `24h`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "duration")]
    pub overlap: Option<String>,
}

/// The algorithm of the key: RS256 (RSA with 2048 bits) or ES256 (ECDSA on P-256). A change begins a rotation at once.
/// Defaults to `RS256`.
#[derive(JsonSchema, Clone, Copy, Debug, Default, Deserialize, Serialize, PartialEq, Eq)]
pub enum KeyAlgorithm {
    /// RSA (2048 bits) with SHA-256.
    #[default]
    RS256,
    /// ECDSA on P-256 with SHA-256.
    ES256,
}

/// Keys in a Secret.
#[derive(JsonSchema, Clone, Debug, Deserialize, Serialize, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct SigningKeys {
    /// The Secret. Its entries `*.pem` (public or private key), `*.jwks.json` and `*.secret` (HS256, at least 32 bytes)
    /// are read; a change reaches the running hub without a restart.
    pub secret_ref: SecretReference,
}
