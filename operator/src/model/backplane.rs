//! Backplane of a hub, and the settings that require one. No I/O.

use std::time::Duration;

use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use super::SecretEntry;
use crate::keys::ConnectionTokenKey;

/// Backplane of several replicas, and the settings that require one.
#[derive(Clone, Debug)]
pub struct Backplane {
    /// Redis, which carries pushes to other replicas.
    pub redis: Redis,
    /// Connection token key, which all replicas share. A client can negotiate with one replica and connect to another.
    pub token_key: ConnectionTokenKey,
    /// Drain duration of a pod.
    pub drain: Drain,
    /// Maximum surge of a rollout.
    pub max_surge: IntOrString,
}

/// Drain duration as text for the configuration of the hub, and parsed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Drain {
    /// The text of the spec.
    pub text: String,
    /// The parsed duration.
    pub value: Duration,
}

/// Connection to Redis. The hub has defaults for values that are `None`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Redis {
    /// URL of Redis.
    pub url: SecretEntry,
    /// Redis ACL user.
    pub username: Option<String>,
    /// Password of the user.
    pub password: Option<SecretEntry>,
    /// CA certificate by which the certificate of Redis is verified.
    pub ca: Option<SecretEntry>,
    /// Prefix of the names of all channels.
    pub channel_prefix: Option<String>,
}
