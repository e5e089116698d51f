//! `spec.auth`: validation of tokens.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::SecretReference;
use crate::schema::duration;

/// Validation of tokens. At least one of authority, generate, and signingKeys provides the keys.
#[derive(KubeSchema, Clone, Debug, Default, Deserialize, Serialize, PartialEq)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("has(self.authority) || has(self.generate) || has(self.signingKeys)")
        .message("auth must specify at least one of authority, generate, and signingKeys")
)]
pub struct Auth {
    /// authority is the base URL of the identity server, such as `http://bitwarden-identity:5000`. The hub discovers
    /// the issuer and the public keys there (OpenID Connect Discovery), and keeps the last ones while the server is
    /// unavailable. Defaults to none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 2048), regex(pattern = r"^https?://[^/?#@\s][^?#@\s]*$"))]
    pub authority: Option<String>,

    /// issuer is the issuer (`iss`) that every token must name. Defaults to the issuer of the authority for tokens
    /// signed with its keys, and to any issuer for other tokens.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 2048), regex(pattern = r"^\S(.*\S)?$"))]
    pub issuer: Option<String>,

    /// audiences are the accepted audiences (`aud`), at most 16. A token must name at least one of them. Defaults to
    /// any audience.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16), inner(length(min = 1, max = 256)))]
    #[x_kube(merge_strategy = ListMerge::Set)]
    pub audiences: Vec<String>,

    /// clockSkew is the maximum difference between the clocks of the token issuer and the hub, as a duration such as
    /// `1m30s`. Defaults to `5m`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "duration")]
    pub clock_skew: Option<String>,

    /// generate makes the operator generate a key pair, rotate it, and store it in the Secret `<name>-jwt`. The entry
    /// `private.pem` is the private key to sign tokens with. The entry `jwks.json` contains every public key that is
    /// valid.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub generate: Option<Generate>,

    /// signingKeys are existing keys that verify tokens. The hub accepts tokens signed with any of them. Each key
    /// verifies tokens of its own algorithm only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signing_keys: Option<SigningKeys>,
}

/// Key pair that the operator generates and rotates.
#[derive(KubeSchema, Clone, Debug, Default, Deserialize, Serialize, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct Generate {
    /// algorithm is the signature algorithm of the generated keys: `RS256` (RSA with 2048 bits) or `ES256` (ECDSA on
    /// P-256). A change starts a rotation immediately. Defaults to `RS256`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub algorithm: Option<KeyAlgorithm>,

    /// rotationInterval is the time for which a key signs tokens, as a duration such as `168h`. It must be longer than
    /// overlap plus three minutes. Three minutes before a rotation, the Secret contains the next private key as
    /// `next-private.pem`, and `jwks.json` contains its public key. Defaults to `720h`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "duration")]
    #[x_kube(
        validation = Rule::new("self.matches('[1-9]')")
            .message("auth.generate.rotationInterval must be greater than 0")
    )]
    pub rotation_interval: Option<String>,

    /// overlap is the time for which the tokens of a replaced key stay valid, as a duration such as `12h`. Set it to at
    /// least the lifetime of tokens. Defaults to `24h`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "duration")]
    pub overlap: Option<String>,
}

/// Signature algorithm of generated keys.
// In the CRD, the description of an optional enum replaces that of the field.
#[derive(JsonSchema, Clone, Copy, Debug, Default, Deserialize, Serialize, PartialEq, Eq)]
#[schemars(
    description = "algorithm is the signature algorithm of the generated keys: `RS256` (RSA with 2048 bits) or `ES256` (ECDSA \
        on P-256). A change starts a rotation immediately. Defaults to `RS256`."
)]
pub enum KeyAlgorithm {
    /// RSA (2048 bits) with SHA-256.
    #[default]
    RS256,
    /// ECDSA on P-256 with SHA-256.
    ES256,
}

/// Existing keys in a Secret.
#[derive(JsonSchema, Clone, Debug, Deserialize, Serialize, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct SigningKeys {
    /// secretRef is the Secret with the keys. The hub reads the entries `*.pem` (public or private keys), `*jwks.json`
    /// (JWK sets), and `*.secret` (HS256 secrets of at least 32 bytes). A change takes effect without a restart of the
    /// pods.
    pub secret_ref: SecretReference,
}
