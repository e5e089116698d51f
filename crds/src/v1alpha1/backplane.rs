//! `spec.backplane`: what connects several replicas.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::SecretValue;

/// What connects several replicas, so that a push to one of them reaches the clients of all.
#[derive(JsonSchema, Clone, Debug, Deserialize, Serialize, PartialEq)]
pub struct Backplane {
    /// A Redis, which has to be there already.
    pub redis: Redis,
}

/// A Redis that every replica reaches.
#[derive(JsonSchema, Clone, Debug, Deserialize, Serialize, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct Redis {
    /// Where it is: `redis://HOST:PORT`, `rediss://` with TLS, `redis+sentinel://HOST:PORT,HOST:PORT/SERVICE` for one that
    /// Sentinels watch, or a connection string of StackExchange.Redis. When it changes, the pods are replaced.
    pub url: SecretValue,

    /// Whose rights are used there. Defaults to what the URL says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 128), regex(pattern = r"^\S+$"))]
    pub username: Option<String>,

    /// The password. When it changes, the pods are replaced. Defaults to what the URL says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub password: Option<SecretValue>,

    /// The authority of Redis' certificate in PEM. A change reaches the running hub without a restart. Defaults to the
    /// system's authorities.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca: Option<SecretValue>,

    /// What the names of all channels begin with. Give each hub that shares a Redis with others one of its own, and the
    /// replicas of Bitwarden's service that this hub works beside the same. Defaults to `Notifications`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 128), regex(pattern = r"^\S+$"))]
    pub channel_prefix: Option<String>,
}
