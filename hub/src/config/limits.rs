//! How many clients may be connected, and whose `X-Forwarded-For` is believed.

use std::net::IpAddr;

use crate::net::ip_network::IpNetwork;

/// The limits. 0 means no limit.
#[derive(Debug, Clone)]
pub struct Limits {
    /// How many clients may be connected.
    pub connections: usize,
    /// How many of one user.
    pub per_user: usize,
    /// How many of one address, if there are trusted proxies: behind a proxy that is not, everybody has one address.
    pub per_address: usize,
    /// How many leading bits of an IPv6 address are counted as one address: one client has a whole network of them.
    pub ipv6_prefix: u8,
    /// Whose `X-Forwarded-For` is believed.
    pub trusted_proxies: Vec<IpNetwork>,
    /// How many connections may be on their way to a verified token at once.
    pub handshakes_in_flight: usize,
}

impl Limits {
    /// Whether an address is a trusted proxy's.
    pub fn is_trusted(&self, address: IpAddr) -> bool {
        self.trusted_proxies.iter().any(|network| network.contains(address))
    }
}
