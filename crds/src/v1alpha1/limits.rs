//! `spec.limits`: limits of connections.

use kube::KubeSchema;
use serde::{Deserialize, Serialize};

/// Limits of connections. Unset fields mean no limit.
#[derive(KubeSchema, Clone, Debug, Default, Deserialize, Serialize, PartialEq)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("!has(self.maxConnectionsPerIP) || has(self.trustedProxies)")
        .message("limits.maxConnectionsPerIP: all clients behind an unknown proxy share one address; set limits.trustedProxies")
)]
pub struct Limits {
    /// maxConnections is the maximum number of connections on each pod. It must be at least 1. Defaults to no limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub max_connections: Option<i32>,

    /// maxConnectionsPerUser is the maximum number of connections of one user on each pod. It must be at least 1. Defaults
    /// to no limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub max_connections_per_user: Option<i32>,

    /// maxConnectionsPerIP is the maximum number of connections of one client address on each pod. It must be at
    /// least 1. An IPv6 address counts as its network of 64 bits. Requires trustedProxies. Defaults to no limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    #[serde(rename = "maxConnectionsPerIP")]
    pub max_connections_per_ip: Option<i32>,

    /// trustedProxies are IP addresses and CIDR blocks, such as `10.0.0.0/8`, of the proxies in front of the hub, at
    /// most 64. The hub takes client addresses from the header `X-Forwarded-For` only if one of these proxies sent it.
    /// Defaults to none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(min = 1, max = 64), inner(length(min = 1, max = 64)))]
    #[x_kube(
        merge_strategy = ListMerge::Set,
        validation = Rule::new("self.all(proxy, isIP(proxy) || isCIDR(proxy))")
            .message("limits.trustedProxies must contain only IP addresses and CIDR blocks, such as 192.0.2.1 and 10.0.0.0/8")
    )]
    pub trusted_proxies: Vec<String>,
}
