//! The section `limits`: limits of connections, and the trusted proxies.

use std::net::IpAddr;

use crate::net::ip_network::IpNetwork;

/// Limits of connections. 0 means no limit.
#[derive(Debug, Clone)]
pub struct Limits {
    /// The maximum number of connections.
    pub max_connections: usize,
    /// The maximum number of connections of one user.
    pub max_connections_per_user: usize,
    /// The maximum number of connections of one address. It applies only with trusted proxies, because behind another proxy all
    /// clients have the same address.
    pub max_connections_per_ip: usize,
    /// The leading bits of an IPv6 address that count as one address, because one client has a network of them.
    pub ipv6_prefix_length: u8,
    /// Proxies whose `X-Forwarded-For` and PROXY protocol headers are trusted.
    pub trusted_proxies: Vec<IpNetwork>,
    /// The maximum number of concurrent token verifications. Other connections wait.
    pub max_concurrent_verifications: usize,
}

impl Limits {
    /// Returns whether an address belongs to a trusted proxy.
    pub fn is_trusted(&self, address: IpAddr) -> bool {
        self.trusted_proxies.iter().any(|network| network.contains(address))
    }
}
