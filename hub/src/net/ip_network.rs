//! IP networks in CIDR form. No I/O.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use ipnet::{IpNet, Ipv4Net};

/// A network in CIDR form, or a single address. A network of IPv4-mapped IPv6 addresses equals the IPv4 network.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IpNetwork(IpNet);

impl FromStr for IpNetwork {
    type Err = ();

    fn from_str(text: &str) -> Result<IpNetwork, ()> {
        let network = match text.contains('/') {
            true => text.parse().map_err(|_| ())?,
            false => IpNet::from(text.trim().parse::<IpAddr>().map_err(|_| ())?),
        };
        let mapped = match network {
            IpNet::V6(network) => network.addr().to_ipv4_mapped().zip(network.prefix_len().checked_sub(96)),
            IpNet::V4(_) => None,
        };
        match mapped {
            Some((address, prefix)) => Ok(IpNetwork(Ipv4Net::new_assert(address, prefix).into())),
            None => Ok(IpNetwork(network)),
        }
    }
}

impl fmt::Display for IpNetwork {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(formatter)
    }
}

impl IpNetwork {
    /// Returns whether an address is in this network. An IPv4-mapped IPv6 address counts as the IPv4 address.
    pub fn contains(&self, address: IpAddr) -> bool {
        self.0.contains(&address.to_canonical())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn network_contains_addresses_with_its_prefix() {
        let contains = |network: &str, text: &str| {
            network.parse::<IpNetwork>().expect(network).contains(text.parse().expect(text))
        };
        assert!(contains("10.0.0.0/8", "10.255.0.1") && !contains("10.0.0.0/8", "11.0.0.1"));
        assert!(contains("0.0.0.0/0", "1.2.3.4") && !contains("0.0.0.0/0", "::1"));
        assert!(contains("10.0.0.1", "10.0.0.1") && !contains("10.0.0.1", "10.0.0.2"));
        assert!(contains("10.0.0.1", "::ffff:10.0.0.1"), "an IPv4 address of an IPv6 socket");
        assert!(contains("fd00::/8", "fdff::1") && !contains("fd00::/8", "fe80::1") && contains("::/0", "::1"));
        assert!(contains("::ffff:10.0.0.0/104", "10.1.2.3") && !contains("::ffff:10.0.0.0/104", "11.0.0.1"));
        assert!(contains("::ffff:10.0.0.1", "10.0.0.1"), "a network in the IPv4-mapped form");
        for text in ["", "10.0.0.0/33", "10.0.0/8", "::/129", "10.0.0.0/-1", "joe"] {
            assert!(text.parse::<IpNetwork>().is_err(), "{text}");
        }
    }
}
