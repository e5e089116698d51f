//! `spec.backplane`: the connection between replicas.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::SecretValue;

/// Backplane, which connects the replicas of a hub.
#[derive(JsonSchema, Clone, Debug, Deserialize, Serialize, PartialEq)]
pub struct Backplane {
    /// redis is an existing Redis that every replica can reach.
    pub redis: Redis,
}

/// Redis as a backplane.
#[derive(JsonSchema, Clone, Debug, Deserialize, Serialize, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct Redis {
    /// url is the address of Redis: `redis://HOST:PORT`, `rediss://HOST:PORT` for TLS,
    /// `redis+sentinel://HOST:PORT,HOST:PORT/SERVICE` for a Redis with Sentinels, or a connection string of
    /// StackExchange.Redis. A change replaces the pods.
    pub url: SecretValue,

    /// username is the Redis ACL user. Defaults to the user in the URL.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 128), regex(pattern = r"^\S+$"))]
    pub username: Option<String>,

    /// password is the password of the Redis user. A change replaces the pods. Defaults to the password in the URL.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub password: Option<SecretValue>,

    /// ca contains the certificates of the certificate authority (CA) that issued the certificate of Redis, in PEM. A
    /// change takes effect without a restart of the pods. Defaults to the CA certificates of the system.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca: Option<SecretValue>,

    /// channelPrefix is the prefix of the names of all Redis channels. Each hub that shares a Redis with other hubs
    /// needs its own prefix. A hub that runs beside Bitwarden's notifications service needs the prefix of that service.
    /// Defaults to `Notifications`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 128), regex(pattern = r"^\S+$"))]
    pub channel_prefix: Option<String>,
}
