//! The header that a proxy may write in front of a connection's first request, so that its client's address is not lost: PROXY
//! protocol, versions 1 and 2. No I/O.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// How version 1 begins, and the longest header of it with its line's end.
const VERSION_1: &[u8] = b"PROXY ";
const MAX_VERSION_1_BYTES: usize = 107;

/// How version 2 begins, and how long it is up to the addresses.
const VERSION_2: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";
const VERSION_2_START: usize = 16;

/// What a connection begins with.
#[derive(Debug, PartialEq, Eq)]
pub enum Preface {
    /// It may become a header.
    Partial,
    /// No header.
    Absent,
    /// A header of so many bytes, which names the client, or says that the proxy speaks for itself.
    Present(usize, Option<IpAddr>),
    /// A header that is wrong.
    Malformed,
}

/// Whether a connection that begins with this byte may begin with a header.
pub fn may_begin_with(byte: u8) -> bool {
    [VERSION_1[0], VERSION_2[0]].contains(&byte)
}

/// Reads the beginning of a connection.
pub fn read(bytes: &[u8]) -> Preface {
    if bytes.starts_with(VERSION_2) {
        return version_2(bytes);
    }
    if bytes.starts_with(VERSION_1) {
        return version_1(bytes);
    }
    match VERSION_2.starts_with(bytes) || VERSION_1.starts_with(bytes) {
        true => Preface::Partial,
        false => Preface::Absent,
    }
}

fn version_1(bytes: &[u8]) -> Preface {
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

fn version_2(bytes: &[u8]) -> Preface {
    let Some((start, rest)) = bytes.split_at_checked(VERSION_2_START) else { return Preface::Partial };
    let length = usize::from(u16::from_be_bytes([start[14], start[15]]));
    let Some(addresses) = rest.get(..length) else { return Preface::Partial };
    let source = match (start[12], start[13] >> 4) {
        // The proxy's own connection, or one of another kind than IP.
        (0x20, _) | (0x21, 0 | 3) => Some(None),
        (0x21, 1) => {
            addresses.first_chunk::<4>().filter(|_| length >= 12).map(|&source| Some(Ipv4Addr::from(source).into()))
        }
        (0x21, 2) => {
            addresses.first_chunk::<16>().filter(|_| length >= 36).map(|&source| Some(Ipv6Addr::from(source).into()))
        }
        _ => None,
    };
    source.map_or(Preface::Malformed, |source| Preface::Present(VERSION_2_START + length, source))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn version_2(command: u8, family: u8, addresses: &[u8]) -> Vec<u8> {
        let length = u16::try_from(addresses.len()).expect("short").to_be_bytes();
        [VERSION_2, &[command, family], &length, addresses].concat()
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
