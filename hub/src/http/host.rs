//! Validates the host of a request (RFC 9112 3.2, RFC 3986 3.2.2). No I/O.

use std::net::Ipv6Addr;

use crate::net::byte_set::ByteSet;

/// The bytes of a host name: `unreserved`, `sub-delims` and `%` of RFC 3986.
const NAME_BYTES: ByteSet = ByteSet::alphanumeric_and(b"-._~!$&'()*+,;=%");

/// Returns `true` if a `Host` value, or the authority of a target, is a host with an optional port. RFC 9112 allows an empty one.
pub fn is_valid(value: &[u8]) -> bool {
    let port = match value.strip_prefix(b"[") {
        Some(literal) => {
            let Some(end) = literal.iter().position(|&byte| byte == b']') else { return false };
            let address = std::str::from_utf8(&literal[..end]).ok().and_then(|text| text.parse::<Ipv6Addr>().ok());
            if address.is_none() {
                return false;
            }
            &literal[end + 1..]
        }
        None => &value[NAME_BYTES.prefix_length(value)..],
    };
    port.strip_prefix(b":").map_or(port.is_empty(), is_port)
}

/// Returns `true` if the digits are a port number. RFC 3986 allows an empty one.
fn is_port(digits: &[u8]) -> bool {
    let add =
        |number: u32, digit: &u8| Some(number * 10 + char::from(*digit).to_digit(10)?).filter(|&sum| sum <= 65_535);
    digits.iter().try_fold(0, add).is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn host_with_or_without_port_is_valid() {
        for host in [
            "",
            "hub",
            "vault.example",
            "vault.example:443",
            "10.0.0.1:80",
            "[::1]",
            "[2001:db8::1]:5000",
            "a_b",
            "h:",
            "h:00080",
        ] {
            assert!(is_valid(host.as_bytes()), "{host}");
        }
    }

    #[test]
    fn host_malformed_is_invalid() {
        for host in [
            "a b",
            "a/b",
            "user@a",
            "a:x",
            "a:1:2",
            "a:70000",
            "a:+1",
            "a:6553600",
            "[::1",
            "[::1]x",
            "[joe]",
            "<x>",
            "a\"b",
            "é",
        ] {
            assert!(!is_valid(host.as_bytes()), "{host}");
        }
        assert!(!is_valid(b"\xff"));
    }
}
