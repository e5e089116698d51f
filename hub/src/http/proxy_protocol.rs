//! The PROXY protocol, versions 1 and 2: a header with the client's address, which a proxy sends before the first request of a
//! connection. No I/O.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// The first bytes of a version 1 header.
const VERSION_1_SIGNATURE: &[u8] = b"PROXY ";

/// The largest version 1 header with its line end, in bytes.
const MAX_VERSION_1_BYTES: usize = 107;

/// The first bytes of a version 2 header.
const VERSION_2_SIGNATURE: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";

/// The length of a version 2 header without its addresses, in bytes.
const VERSION_2_FIXED_BYTES: usize = 16;

/// The result of parsing the first bytes of a connection.
#[derive(Debug, PartialEq, Eq)]
pub enum Preface {
    /// The bytes may be the beginning of a header.
    Partial,
    /// There is no header.
    Absent,
    /// A header: its length in bytes, and the client's address. `None` for the proxy's own connection, or one that is not IP.
    Present(usize, Option<IpAddr>),
    /// The header is malformed.
    Malformed,
}

/// Returns `true` if a header may begin with a byte.
pub fn may_begin_with(byte: u8) -> bool {
    [VERSION_1_SIGNATURE[0], VERSION_2_SIGNATURE[0]].contains(&byte)
}

/// Parses the first bytes of a connection.
pub fn read(bytes: &[u8]) -> Preface {
    if bytes.starts_with(VERSION_2_SIGNATURE) {
        return parse_version_2(bytes);
    }
    if bytes.starts_with(VERSION_1_SIGNATURE) {
        return parse_version_1(bytes);
    }
    match VERSION_2_SIGNATURE.starts_with(bytes) || VERSION_1_SIGNATURE.starts_with(bytes) {
        true => Preface::Partial,
        false => Preface::Absent,
    }
}

fn parse_version_1(bytes: &[u8]) -> Preface {
    let start = &bytes[..bytes.len().min(MAX_VERSION_1_BYTES)];
    let Some(end) = start.windows(2).position(|end| end == b"\r\n") else {
        return if start.len() < MAX_VERSION_1_BYTES { Preface::Partial } else { Preface::Malformed };
    };
    let words: Vec<&str> = std::str::from_utf8(&start[..end]).unwrap_or_default().split(' ').collect();
    let source = match words[..] {
        [_, "UNKNOWN", ..] => Some(None),
        [_, "TCP4", source, _, _, _] => source.parse::<Ipv4Addr>().ok().map(|source| Some(source.into())),
        [_, "TCP6", source, _, _, _] => source.parse::<Ipv6Addr>().ok().map(|source| Some(source.into())),
        _ => None,
    };
    source.map_or(Preface::Malformed, |source| Preface::Present(end + 2, source))
}

fn parse_version_2(bytes: &[u8]) -> Preface {
    let Some((start, rest)) = bytes.split_at_checked(VERSION_2_FIXED_BYTES) else { return Preface::Partial };
    let length = usize::from(u16::from_be_bytes([start[14], start[15]]));
    let Some(addresses) = rest.get(..length) else { return Preface::Partial };
    let source = match (start[12], start[13] >> 4) {
        // A connection of the proxy itself, or one that is not IP.
        (0x20, _) | (0x21, 0 | 3) => Some(None),
        (0x21, 1) => {
            addresses.first_chunk::<4>().filter(|_| length >= 12).map(|&source| Some(Ipv4Addr::from(source).into()))
        }
        (0x21, 2) => {
            addresses.first_chunk::<16>().filter(|_| length >= 36).map(|&source| Some(Ipv6Addr::from(source).into()))
        }
        _ => None,
    };
    source.map_or(Preface::Malformed, |source| Preface::Present(VERSION_2_FIXED_BYTES + length, source))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn version_2(command: u8, family: u8, addresses: &[u8]) -> Vec<u8> {
        let length = u16::try_from(addresses.len()).expect("short").to_be_bytes();
        [VERSION_2_SIGNATURE, &[command, family], &length, addresses].concat()
    }

    fn present(header: &[u8], source: Option<&str>) {
        let source = source.map(|source| source.parse().expect("an address"));
        let request = [header, b"GET / HTTP/1.1\r\n"].concat();
        assert_eq!(read(&request), Preface::Present(header.len(), source), "{header:?}");
        for end in 0..header.len() {
            assert_eq!(read(&header[..end]), Preface::Partial, "{header:?} cut at {end}");
        }
    }

    #[test]
    fn proxy_header_of_either_version_names_the_client() {
        present(b"PROXY TCP4 198.51.100.7 10.0.0.1 4711 80\r\n", Some("198.51.100.7"));
        present(b"PROXY TCP6 2001:db8::1 ::1 4711 80\r\n", Some("2001:db8::1"));
        present(b"PROXY UNKNOWN\r\n", None);
        present(&version_2(0x21, 0x11, &[198, 51, 100, 7, 10, 0, 0, 1, 0, 1, 0, 80]), Some("198.51.100.7"));
        let six = [&"2001:db8::1".parse::<Ipv6Addr>().expect("an address").octets()[..], &[0; 20], b"more"].concat();
        present(&version_2(0x21, 0x21, &six), Some("2001:db8::1"));
        present(&version_2(0x20, 0, &[]), None);
    }

    #[test]
    fn proxy_header_invalid_is_malformed_and_missing_is_absent() {
        let long = [&b"PROXY TCP4 "[..], &[b' '; 200]].concat();
        for header in [&b"PROXY TCP4 joe 10.0.0.1 1 2\r\n"[..], b"PROXY TCP4 ::1 ::1 1 2\r\n", b"PROXY \r\n", &long] {
            assert_eq!(read(header), Preface::Malformed, "{header:?}");
        }
        for header in [version_2(0x31, 0x11, &[0; 12]), version_2(0x21, 0x11, &[0; 11]), version_2(0x21, 0x41, &[])] {
            assert_eq!(read(&header), Preface::Malformed, "{header:?}");
        }
        for request in [&b"GET / HTTP/1.1\r\n"[..], b"POST / HTTP/1.1", b"PROPFIND /", b"\r\n\r\nGET /", b"\n"] {
            assert_eq!(read(request), Preface::Absent, "{request:?}");
        }
    }
}
