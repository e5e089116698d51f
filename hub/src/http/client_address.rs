//! Determines the address of a client behind proxies. No I/O.

use std::net::IpAddr;

use crate::net::ip_network::IpNetwork;

/// Returns the address of a client: the address of its connection, or behind trusted proxies the rightmost address in
/// `X-Forwarded-For` that is not a trusted proxy's.
pub fn client_address(peer: IpAddr, forwarded: &str, trusted: &[IpNetwork]) -> IpAddr {
    let is_trusted = |address: IpAddr| trusted.iter().any(|network| network.contains(address));
    let mut address = peer.to_canonical();
    for hop in forwarded.rsplit(',') {
        if !is_trusted(address) {
            return address;
        }
        let hop = hop.trim();
        if hop.is_empty() {
            continue;
        }
        match parse_forwarded_ip(hop) {
            Some(next) => address = next.to_canonical(),
            // An entry that is not an address was not written by a trusted proxy.
            None => return address,
        }
    }
    address
}

/// Parses an address as proxies write it: `192.0.2.1`, `192.0.2.1:4711`, `2001:db8::1`, `[2001:db8::1]`, `[2001:db8::1]:4711`,
/// with a zone (`fe80::1%eth0`), and each in double quotes. Returns `None` for anything else.
fn parse_forwarded_ip(hop: &str) -> Option<IpAddr> {
    let hop = hop.strip_prefix('"').and_then(|hop| hop.strip_suffix('"')).unwrap_or(hop);
    let is_port = |port: &str| port.parse::<u16>().is_ok();
    let address = match hop.strip_prefix('[') {
        Some(rest) => {
            let (address, port) = rest.split_once(']')?;
            (port.is_empty() || port.strip_prefix(':').is_some_and(is_port)).then_some(address)?
        }
        None => match hop.split_once(':') {
            Some((address, port)) if is_port(port) => address,
            _ => hop,
        },
    };
    address.split_once('%').map_or(address, |(address, _zone)| address).parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn networks(list: &[&str]) -> Vec<IpNetwork> {
        list.iter().map(|text| text.parse().expect(text)).collect()
    }

    fn address(text: &str) -> IpAddr {
        text.parse().expect(text)
    }

    #[test]
    fn client_address_uses_forwarded_for_only_from_trusted_proxies() {
        let trusted = networks(&["10.0.0.0/8", "192.0.2.7"]);
        let client = |peer: &str, forwarded: &str| client_address(address(peer), forwarded, &trusted).to_string();
        assert_eq!(client("203.0.113.9", "198.51.100.1"), "203.0.113.9");
        assert_eq!(client("10.0.0.1", "198.51.100.1"), "198.51.100.1");
        assert_eq!(client("10.0.0.1", "1.1.1.1, 198.51.100.1, 192.0.2.7"), "198.51.100.1");
        assert_eq!(client("10.0.0.1", "198.51.100.1:4711"), "198.51.100.1");
        assert_eq!(client("10.0.0.1", "198.51.100.1, joe"), "10.0.0.1");
        assert_eq!(client("10.0.0.1", ""), "10.0.0.1");
        assert_eq!(client("::ffff:10.0.0.1", "2001:db8::1"), "2001:db8::1");
    }

    #[test]
    fn client_address_accepts_every_form_of_forwarded_address() {
        let trusted = networks(&["10.0.0.0/8"]);
        for (forwarded, expected) in [
            ("[2001:db8::1]", "2001:db8::1"),
            ("[2001:db8::1]:4711", "2001:db8::1"),
            ("198.51.100.1,", "198.51.100.1"),
            (",198.51.100.1, ,", "198.51.100.1"),
            ("\"198.51.100.1\"", "198.51.100.1"),
            ("\"[2001:db8::1]:4711\"", "2001:db8::1"),
            ("fe80::1%eth0", "fe80::1"),
            ("[fe80::1%eth0]:4711", "fe80::1"),
            ("::ffff:198.51.100.1", "198.51.100.1"),
            ("[2001:db8::1", "10.0.0.1"),
            ("[2001:db8::1]x", "10.0.0.1"),
            ("198.51.100.1:x", "10.0.0.1"),
            ("unknown", "10.0.0.1"),
        ] {
            assert_eq!(client_address(address("10.0.0.1"), forwarded, &trusted).to_string(), expected, "{forwarded}");
        }
    }
}
