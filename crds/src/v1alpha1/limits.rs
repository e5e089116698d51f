//! `spec.limits`: how many clients there may be.

use kube::KubeSchema;
use serde::{Deserialize, Serialize};

/// How many clients each pod lets in; what is not given is unlimited. Whoever is one too many is answered with 429 or 503
/// and comes again later.
#[derive(KubeSchema, Clone, Debug, Default, Deserialize, Serialize, PartialEq)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("!has(self.connectionsPerAddress) || has(self.trustedProxies)")
        .message("behind an unknown proxy all clients have one address, and connectionsPerAddress would be for all of them together: give limits.trustedProxies")
)]
pub struct Limits {
    /// How many in all. Defaults to no limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub connections: Option<i32>,

    /// How many of one user. Defaults to no limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub connections_per_user: Option<i32>,

    /// How many of one address. Only with trustedProxies. Defaults to no limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub connections_per_address: Option<i32>,

    /// Whose `X-Forwarded-For` is believed: addresses, or networks such as `10.0.0.0/8`. The pods of an ingress controller,
    /// for example. Defaults to none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(min = 1, max = 64), inner(length(min = 1, max = 64)))]
    #[x_kube(
        merge_strategy = ListMerge::Set,
        validation = Rule::new("self.all(proxy, isIP(proxy) || isCIDR(proxy))")
            .message("limits.trustedProxies takes addresses, and networks such as 10.0.0.0/8")
    )]
    pub trusted_proxies: Vec<String>,
}
