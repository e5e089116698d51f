//! Counts connections: in all, and per client address.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use crate::config::Limits;
use crate::http::client_address::client_address;
use crate::http::error_response::ErrorResponse;

/// The address under which a client is counted: an IPv6 address stands for its network.
fn counted_address(address: IpAddr, ipv6_prefix_length: u8) -> IpAddr {
    match address {
        IpAddr::V4(_) => address,
        IpAddr::V6(address) => {
            let mask = u128::MAX.checked_shl(128 - u32::from(ipv6_prefix_length.min(128))).unwrap_or(0);
            IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & mask))
        }
    }
}

/// Counts open connections, for all reactors.
#[derive(Debug, Default)]
pub(crate) struct ConnectionLimits {
    clients: AtomicUsize,
    addresses: Mutex<HashMap<IpAddr, usize>>,
}

/// The share of a connection in the limits, released on drop.
#[derive(Debug)]
pub(crate) struct ConnectionPermit {
    admission: Arc<ConnectionLimits>,
    address: Option<IpAddr>,
}

/// The limit that a client is rejected for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LimitReached {
    /// The limit of all connections.
    Total,
    /// The limit of its address.
    Address,
}

impl LimitReached {
    /// Returns the response to the client, with `Retry-After`.
    pub(crate) fn error_response(self) -> ErrorResponse {
        match self {
            LimitReached::Total => {
                ErrorResponse::service_unavailable("This server has as many clients as it may have.")
            }
            LimitReached::Address => {
                ErrorResponse::too_many_requests("There are too many connections from this address.")
            }
        }
    }
}

impl ConnectionLimits {
    /// Acquires a permit, or returns `Ok(None)` without limits. `peer` is the other end of the connection, `forwarded` the value of
    /// `X-Forwarded-For`.
    ///
    /// # Errors
    /// The limit that is reached.
    pub(crate) fn admit(
        self: &Arc<ConnectionLimits>,
        limits: &Limits,
        peer: IpAddr,
        forwarded: &str,
    ) -> Result<Option<Box<ConnectionPermit>>, LimitReached> {
        let trusted = limits.trusted_proxies.as_slice();
        let by_address = limits.max_connections_per_ip > 0 && !trusted.is_empty();
        let counted = || counted_address(client_address(peer, forwarded, trusted), limits.ipv6_prefix_length);
        let address = by_address.then(|| (counted(), limits.max_connections_per_ip));
        if limits.max_connections == 0 && address.is_none() {
            return Ok(None);
        }
        self.try_acquire(limits.max_connections, address).map(|permit| Some(Box::new(permit)))
    }

    /// Acquires a permit. A `limit` of 0 means no limit.
    ///
    /// # Errors
    /// The limit that is reached.
    fn try_acquire(
        self: &Arc<ConnectionLimits>,
        limit: usize,
        address: Option<(IpAddr, usize)>,
    ) -> Result<ConnectionPermit, LimitReached> {
        let before = self.clients.fetch_add(1, Ordering::Relaxed);
        let mut permit = ConnectionPermit { admission: self.clone(), address: None };
        if limit > 0 && before >= limit {
            return Err(LimitReached::Total);
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

    #[test]
    fn counted_address_groups_ipv6_by_prefix() {
        let counted = |text: &str, prefix| counted_address(text.parse().expect(text), prefix).to_string();
        assert_eq!(counted("2001:db8:1:2:3:4:5:6", 64), "2001:db8:1:2::");
        assert_eq!(counted("2001:db8:1:2:3:4:5:6", 48), "2001:db8:1::");
        assert_eq!(counted("2001:db8:1:2:3:4:5:6", 128), "2001:db8:1:2:3:4:5:6");
        assert_eq!(counted("198.51.100.7", 64), "198.51.100.7");
    }

    #[test]
    fn connection_permits_dropped_are_released() {
        let admission = Arc::new(ConnectionLimits::default());
        let home = "198.51.100.1".parse().expect("an address");
        let first = admission.try_acquire(2, Some((home, 1))).expect("room");
        assert_eq!(admission.try_acquire(2, Some((home, 1))).err(), Some(LimitReached::Address));
        let second = admission.try_acquire(2, None).expect("room");
        assert_eq!(admission.try_acquire(2, None).err(), Some(LimitReached::Total));
        drop((first, second));
        assert!(admission.try_acquire(1, Some((home, 1))).is_ok());
        assert!(admission.addresses.lock().expect("no panic").is_empty());
    }
}
