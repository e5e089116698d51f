//! The host that a request names (RFC 9112 3.2, RFC 3986 3.2.2). No I/O.

use std::net::Ipv6Addr;

/// Returns whether a `Host` value, or the authority of a target, is a host with a port or without. An empty one is, by RFC 9112.
pub fn is_valid(value: &[u8]) -> bool {
    let Ok(value) = std::str::from_utf8(value) else { return false };
    let port = match value.strip_prefix('[') {
        Some(literal) => match literal.split_once(']') {
            Some((address, port)) if address.parse::<Ipv6Addr>().is_ok() => port,
            _ => return false,
        },
        None => {
            let (name, port) = value.split_at(value.find(':').unwrap_or(value.len()));
            if !name.bytes().all(is_name_byte) {
                return false;
            }
            port
        }
    };
    port.is_empty()
        || port.strip_prefix(':').is_some_and(|port| {
            port.bytes().all(|byte| byte.is_ascii_digit()) && (port.is_empty() || port.parse::<u16>().is_ok())
        })
}

/// Returns whether a byte may be part of a name: `unreserved`, `sub-delims` and `%` of RFC 3986.
fn is_name_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=%".contains(&byte)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn host_with_or_without_port_is_valid() {
        for host in
            ["", "hub", "vault.example", "vault.example:443", "10.0.0.1:80", "[::1]", "[2001:db8::1]:5000", "a_b", "h:"]
        {
            assert!(is_valid(host.as_bytes()), "{host}");
        }
    }

    #[test]
    fn host_malformed_is_invalid() {
        for host in
            ["a b", "a/b", "user@a", "a:x", "a:1:2", "a:70000", "a:+1", "[::1", "[::1]x", "[joe]", "<x>", "a\"b", "é"]
        {
            assert!(!is_valid(host.as_bytes()), "{host}");
        }
        assert!(!is_valid(b"\xff"));
    }
}
