//! Settings that several replicas share. No I/O.

use std::time::Duration;

use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use super::SecretEntry;
use crate::keys::ConnectionTokenKey;

/// What connects several replicas, and what is possible because of it.
#[derive(Clone, Debug)]
pub struct Backplane {
    /// Where pushes go to reach the clients of other replicas.
    pub redis: Redis,
    /// The key that all replicas have, so that a client may negotiate with one and connect to another.
    pub token_key: ConnectionTokenKey,
    /// Drain duration of a pod.
    pub drain: Drain,
    /// How many pods there may be besides those that are wanted.
    pub max_surge: IntOrString,
}

/// A duration, as it was written for the hub and as it is meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Drain {
    /// As it was written.
    pub text: String,
    /// As it is meant.
    pub value: Duration,
}

/// How Redis is reached. What is not given is the hub's to choose.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Redis {
    /// Its address.
    pub url: SecretEntry,
    /// Redis ACL user.
    pub username: Option<String>,
    /// The password.
    pub password: Option<SecretEntry>,
    /// CA certificate that its certificate is verified with.
    pub ca: Option<SecretEntry>,
    /// What the names of all channels begin with.
    pub channel_prefix: Option<String>,
}
