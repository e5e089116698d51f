//! Connection limits: in all and per client address.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::str::FromStr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

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
    pub trusted_proxies: Vec<IpNet>,
    /// How many connections may be on their way to a verified token at once.
    pub handshakes_in_flight: usize,
}

impl Limits {
    /// Whether an address is a trusted proxy's.
    pub fn is_trusted(&self, address: IpAddr) -> bool {
        self.trusted_proxies.iter().any(|network| network.contains(address))
    }
}

/// An address, or a network in CIDR form.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IpNet {
    address: IpAddr,
    prefix: u8,
}

impl FromStr for IpNet {
    type Err = ();

    fn from_str(text: &str) -> Result<IpNet, ()> {
        let (address, prefix) = match text.split_once('/') {
            Some((address, prefix)) => (address, Some(prefix.parse::<u8>().map_err(|_| ())?)),
            None => (text, None),
        };
        let address: IpAddr = address.trim().parse().map_err(|_| ())?;
        let longest = if address.is_ipv4() { 32 } else { 128 };
        let prefix = prefix.unwrap_or(longest);
        if prefix <= longest { Ok(IpNet { address, prefix }) } else { Err(()) }
    }
}

impl std::fmt::Display for IpNet {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "{}/{}", self.address, self.prefix)
    }
}

impl IpNet {
    /// Whether an address is in this network.
    pub fn contains(&self, address: IpAddr) -> bool {
        match (self.address, address.to_canonical()) {
            (IpAddr::V4(own), IpAddr::V4(other)) => {
                same_prefix(own.to_bits().into(), other.to_bits().into(), 32, self.prefix)
            }
            (IpAddr::V6(own), IpAddr::V6(other)) => same_prefix(own.to_bits(), other.to_bits(), 128, self.prefix),
            _ => false,
        }
    }
}

/// Returns whether two addresses of `bits` bits share a prefix.
fn same_prefix(one: u128, other: u128, bits: u8, prefix: u8) -> bool {
    (one ^ other).checked_shr(u32::from(bits - prefix)).unwrap_or(0) == 0
}

/// The address of a client: that of its connection, or if that is a trusted proxy's, the rightmost one in
/// `X-Forwarded-For` that is not.
pub fn client_address(peer: IpAddr, forwarded: &str, trusted: &[IpNet]) -> IpAddr {
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
            // What a proxy did not write cannot be believed.
            None => return address,
        }
    }
    address
}

/// Reads an address as proxies write it: `192.0.2.1`, `192.0.2.1:4711`, `2001:db8::1`, `[2001:db8::1]`, `[2001:db8::1]:4711`, with a
/// zone (`fe80::1%eth0`), and each in double quotes. `None` if it is anything else.
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

/// The address under which a client is counted: an IPv6 address stands for its network.
fn counted(address: IpAddr, ipv6_prefix: u8) -> IpAddr {
    match address {
        IpAddr::V4(_) => address,
        IpAddr::V6(address) => {
            let mask = u128::MAX.checked_shl(128 - u32::from(ipv6_prefix.min(128))).unwrap_or(0);
            IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & mask))
        }
    }
}

/// Counts open connections, for all reactors.
#[derive(Debug, Default)]
pub struct AdmissionControl {
    clients: AtomicUsize,
    addresses: Mutex<HashMap<IpAddr, usize>>,
}

/// The share of a connection in the limits, released on drop.
#[derive(Debug)]
pub struct ConnectionPermit {
    admission: Arc<AdmissionControl>,
    address: Option<IpAddr>,
}

/// The limit that a client is rejected for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LimitReached {
    /// The limit of all connections.
    Hub,
    /// The limit of its address.
    Address,
}

impl AdmissionControl {
    /// Acquires a permit, or returns `Ok(None)` without limits. `peer` is the other end of the connection, `forwarded` the value of
    /// `X-Forwarded-For`.
    ///
    /// # Errors
    /// The limit that is reached.
    pub fn admit(
        self: &Arc<AdmissionControl>,
        limits: &Limits,
        peer: IpAddr,
        forwarded: &str,
    ) -> Result<Option<Box<ConnectionPermit>>, LimitReached> {
        let trusted = limits.trusted_proxies.as_slice();
        let by_address = limits.per_address > 0 && !trusted.is_empty();
        let counted = || counted(client_address(peer, forwarded, trusted), limits.ipv6_prefix);
        let address = by_address.then(|| (counted(), limits.per_address));
        if limits.connections == 0 && address.is_none() {
            return Ok(None);
        }
        self.try_acquire(limits.connections, address).map(|permit| Some(Box::new(permit)))
    }

    /// Acquires a permit. A `limit` of 0 means no limit.
    ///
    /// # Errors
    /// The limit that is reached.
    fn try_acquire(
        self: &Arc<AdmissionControl>,
        limit: usize,
        address: Option<(IpAddr, usize)>,
    ) -> Result<ConnectionPermit, LimitReached> {
        let before = self.clients.fetch_add(1, Ordering::Relaxed);
        let mut permit = ConnectionPermit { admission: self.clone(), address: None };
        if limit > 0 && before >= limit {
            return Err(LimitReached::Hub);
        }
        if let Some((address, limit)) = address {
            let mut addresses = self.addresses.lock().unwrap_or_else(PoisonError::into_inner);
            let count = addresses.entry(address).or_default();
            if *count >= limit {
                return Err(LimitReached::Address);
            }
            *count += 1;
            drop(addresses);
            permit.address = Some(address);
        }
        Ok(permit)
    }
}

impl Drop for ConnectionPermit {
    fn drop(&mut self) {
        self.admission.clients.fetch_sub(1, Ordering::Relaxed);
        let Some(address) = self.address else { return };
        let mut addresses = self.admission.addresses.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = addresses.get_mut(&address) {
            *count -= 1;
            if *count == 0 {
                addresses.remove(&address);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn networks(list: &[&str]) -> Vec<IpNet> {
        list.iter().map(|text| text.parse().expect(text)).collect()
    }

    fn address(text: &str) -> IpAddr {
        text.parse().expect(text)
    }

    #[test]
    fn network_contains_addresses_with_its_prefix() {
        let holds = |network: &str, text: &str| networks(&[network])[0].contains(address(text));
        assert!(holds("10.0.0.0/8", "10.255.0.1") && !holds("10.0.0.0/8", "11.0.0.1"));
        assert!(holds("0.0.0.0/0", "1.2.3.4") && !holds("0.0.0.0/0", "::1"));
        assert!(holds("10.0.0.1", "10.0.0.1") && !holds("10.0.0.1", "10.0.0.2"));
        assert!(holds("10.0.0.1", "::ffff:10.0.0.1"), "an IPv4 address on an IPv6 socket");
        assert!(holds("fd00::/8", "fdff::1") && !holds("fd00::/8", "fe80::1") && holds("::/0", "::1"));
        for text in ["", "10.0.0.0/33", "10.0.0/8", "::/129", "10.0.0.0/-1", "joe"] {
            assert!(text.parse::<IpNet>().is_err(), "{text}");
        }
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

    #[test]
    fn counted_address_groups_ipv6_by_prefix() {
        let counted = |text: &str, prefix| counted(address(text), prefix).to_string();
        assert_eq!(counted("2001:db8:1:2:3:4:5:6", 64), "2001:db8:1:2::");
        assert_eq!(counted("2001:db8:1:2:3:4:5:6", 48), "2001:db8:1::");
        assert_eq!(counted("2001:db8:1:2:3:4:5:6", 128), "2001:db8:1:2:3:4:5:6");
        assert_eq!(counted("198.51.100.7", 64), "198.51.100.7");
    }

    #[test]
    fn census_dropped_permits_are_released() {
        let admission = Arc::new(AdmissionControl::default());
        let home = address("198.51.100.1");
        let first = admission.try_acquire(2, Some((home, 1))).expect("room");
        assert_eq!(admission.try_acquire(2, Some((home, 1))).err(), Some(LimitReached::Address));
        let second = admission.try_acquire(2, None).expect("room");
        assert_eq!(admission.try_acquire(2, None).err(), Some(LimitReached::Hub));
        drop((first, second));
        assert!(admission.try_acquire(1, Some((home, 1))).is_ok());
        assert!(admission.addresses.lock().expect("no panic").is_empty());
    }
}
