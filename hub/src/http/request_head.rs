//! Parses the head of a request and rejects ambiguous ones (RFC 9112). `request_kind` tells upgrades from other requests. No I/O.

use std::mem::MaybeUninit;

use httparse::{Error, Header, Request, Status};

use super::error_response::ErrorResponse;
use super::{host, paths};

/// The largest head of a request, in bytes.
pub const MAX_HEAD_BYTES: usize = 64 * 1024;

/// The most headers of a request.
const MAX_HEADERS: usize = 100;

/// The first bytes of an HTTP/2 connection without upgrade (RFC 9113 3.4).
const HTTP_2_PREFACE: &[u8] = b"PRI * HTTP/2.0";

/// Storage for the headers of one request.
pub type HeaderStorage<'a> = [MaybeUninit<Header<'a>>; MAX_HEADERS];

/// Returns uninitialized storage.
pub const fn header_storage<'a>() -> HeaderStorage<'a> {
    [const { MaybeUninit::uninit() }; MAX_HEADERS]
}

/// A complete and unambiguous head.
pub struct RequestHead<'a> {
    /// The method, as received.
    pub method: &'a str,
    /// `true` for HTTP/1.1, `false` for HTTP/1.0.
    pub is_http_1_1: bool,
    /// The path of the target, as received.
    pub path: &'a str,
    /// The query of the target, without the question mark. Empty if there is none.
    pub query: &'a str,
    /// The headers.
    pub headers: Headers<'a>,
    /// The length of the head, in bytes.
    pub length: usize,
    /// The length of the body.
    pub body: BodyLength,
    /// `true` if the request has both Content-Length and Transfer-Encoding. It is served as chunked, but no request may follow.
    pub is_last: bool,
}

/// The length of a request's body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BodyLength {
    /// The length in bytes, 0 if there is no body.
    Known(u64),
    /// The body ends with its last chunk.
    Chunked,
}

/// The purpose of a request. Each purpose has a share of the requests that are served at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// A probe, such as `/alive`.
    Probe,
    /// A push.
    Send,
    /// A request to the main hub.
    Hub,
    /// A request to the anonymous hub or to an unknown path. Both need no token.
    Anonymous,
}

impl Purpose {
    /// All purposes.
    pub const VARIANTS: [Purpose; 4] = [Purpose::Probe, Purpose::Send, Purpose::Hub, Purpose::Anonymous];

    /// Returns the purpose of requests to a path, in any form of the path.
    pub fn from_path(path: &str) -> Purpose {
        match paths::canonical(path).as_str() {
            "/" | "/alive" | "/now" | "/version" => Purpose::Probe,
            "/send" => Purpose::Send,
            "/hub" | "/hub/negotiate" => Purpose::Hub,
            _ => Purpose::Anonymous,
        }
    }
}

/// The properties of a request that axum serves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PlainRequest {
    /// The purpose.
    pub purpose: Purpose,
    /// `true` if the path is a hub's, so that the request may wait for messages.
    pub is_for_hub: bool,
    /// The length of head and body together, in bytes. `None` if the body is chunked.
    pub length: Option<u64>,
    /// `true` if no request may follow on the connection.
    pub is_last: bool,
}

impl<'a> RequestHead<'a> {
    /// Parses the bytes that were received of a request. Returns `None` if the head is incomplete.
    ///
    /// # Errors
    /// Returns the response to a head that is too large, invalid or ambiguous.
    pub fn parse(
        bytes: &'a [u8],
        storage: &'a mut HeaderStorage<'a>,
    ) -> Result<Option<RequestHead<'a>>, ErrorResponse> {
        let mut request = Request::new(&mut []);
        let length = match request.parse_with_uninit_headers(bytes, storage) {
            Ok(Status::Complete(length)) => length,
            Ok(Status::Partial) if bytes.len() < MAX_HEAD_BYTES => return Ok(None),
            Ok(Status::Partial) | Err(Error::TooManyHeaders) => return Err(too_large()),
            Err(_) if bytes.starts_with(HTTP_2_PREFACE) => {
                return Err(ErrorResponse::json(505, "HTTP/2 without TLS is not supported; use HTTP/1.1."));
            }
            Err(_) if HTTP_2_PREFACE.starts_with(bytes) => return Ok(None),
            Err(error) => return Err(ErrorResponse::json(400, &format!("This is not an HTTP/1.1 request: {error}."))),
        };
        let is_http_1_1 = request.version == Some(1);
        let headers = Headers::new(request.headers);
        let (authority, rest) = split_authority(request.path.unwrap_or_default());
        let (path, query) = match memchr::memchr(b'?', rest.as_bytes()) {
            Some(at) => (&rest[..at], &rest[at + 1..]),
            None => (rest, ""),
        };
        let mut hosts = headers.get_all("Host");
        let is_host_valid = match (hosts.next(), hosts.next()) {
            (Some(host), None) => host::is_valid(host.trim_ascii()),
            (Some(_), Some(_)) => false,
            (None, _) => !is_http_1_1,
        };
        if !is_host_valid
            || authority.is_some_and(|authority| authority.is_empty() || !host::is_valid(authority.as_bytes()))
        {
            return Err(ErrorResponse::json(
                400,
                "A request needs exactly one Host header, with a name or an address and an optional port.",
            ));
        }
        let (body, is_last) = body_length(&headers, is_http_1_1)?;
        let method = request.method.unwrap_or_default();
        let path = if path.is_empty() { "/" } else { path };
        Ok(Some(RequestHead { method, is_http_1_1, path, query, headers, length, body, is_last }))
    }

    /// Returns the properties of the request for axum.
    pub fn to_plain_request(&self) -> PlainRequest {
        let length = match self.body {
            BodyLength::Known(body) => Some(body.saturating_add(self.length as u64)),
            BodyLength::Chunked => None,
        };
        let (purpose, is_for_hub) = (Purpose::from_path(self.path), paths::hub_for_path(self.path).is_some());
        PlainRequest { purpose, is_for_hub, length, is_last: self.is_last }
    }
}

/// Returns the response to a head of more than [`MAX_HEAD_BYTES`] or with too many headers.
pub fn too_large() -> ErrorResponse {
    ErrorResponse::json(431, "The request head is too large.")
}

/// Splits a target into its authority, if it is in absolute form (RFC 9112 3.2.2), and the rest.
fn split_authority(target: &str) -> (Option<&str>, &str) {
    let rest = ["http://", "https://"].into_iter().find_map(|scheme| {
        let (start, rest) = target.split_at_checked(scheme.len())?;
        start.eq_ignore_ascii_case(scheme).then_some(rest)
    });
    match rest {
        Some(rest) => {
            let (authority, rest) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
            (Some(authority), rest)
        }
        None => (None, target),
    }
}

/// Returns the length of the body, and `true` if both headers give a length (RFC 9112 6.3).
fn body_length(headers: &Headers<'_>, is_http_1_1: bool) -> Result<(BodyLength, bool), ErrorResponse> {
    let (codings, lengths) = (headers.get_all("Transfer-Encoding").count(), headers.get_all("Content-Length").count());
    if codings > 0 {
        let is_chunked =
            headers.get_single("Transfer-Encoding").is_some_and(|coding| coding.eq_ignore_ascii_case(b"chunked"));
        return match (is_chunked, is_http_1_1) {
            (true, true) => Ok((BodyLength::Chunked, lengths > 0)),
            (true, false) => Err(ErrorResponse::json(400, "Transfer-Encoding needs HTTP/1.1.")),
            (false, _) => Err(ErrorResponse::json(501, "The only supported Transfer-Encoding is chunked, given once.")),
        };
    }
    let length = match (lengths, headers.get_single("Content-Length")) {
        (0, _) => Some(0),
        (_, Some(value)) if value.iter().all(u8::is_ascii_digit) => {
            std::str::from_utf8(value).ok().and_then(|value| value.parse().ok())
        }
        _ => None,
    };
    let length = length
        .ok_or_else(|| ErrorResponse::json(400, "A request may have one Content-Length, which must be a number."))?;
    Ok((BodyLength::Known(length), false))
}

/// The headers of a request.
pub struct Headers<'a> {
    all: &'a [Header<'a>],
    /// One bit for each length of a name. Avoids most searches for headers that are absent.
    lengths: u64,
}

impl<'a> Headers<'a> {
    fn new(all: &'a [Header<'a>]) -> Headers<'a> {
        let lengths = all.iter().fold(0, |lengths, header| lengths | name_length_bit(header.name));
        Headers { all, lengths }
    }

    /// Returns the values of all headers with a name.
    pub fn get_all(&self, name: &'static str) -> impl Iterator<Item = &'a [u8]> + use<'a> {
        let some = if self.lengths & name_length_bit(name) == 0 { &[] } else { self.all };
        some.iter().filter(move |header| eq_ignore_case(header.name.as_bytes(), name)).map(|header| header.value)
    }

    /// Returns the trimmed value of the header with a name, or `None` if there is not exactly one.
    pub fn get_single(&self, name: &'static str) -> Option<&'a [u8]> {
        let mut all = self.get_all(name);
        let value = all.next()?;
        all.next().is_none().then(|| value.trim_ascii())
    }

    /// Returns `true` if the comma-separated values of a header contain a token, ignoring case.
    pub fn contains_token(&self, name: &'static str, token: &str) -> bool {
        self.get_all(name).any(|value| {
            eq_ignore_case(value, token)
                || value.split(|&byte| byte == b',').any(|item| eq_ignore_case(item.trim_ascii(), token))
        })
    }
}

/// Compares two texts, ignoring ASCII case. Equal bytes, the common case, are compared first.
fn eq_ignore_case(text: &[u8], other: &str) -> bool {
    text == other.as_bytes() || text.eq_ignore_ascii_case(other.as_bytes())
}

fn name_length_bit(name: &str) -> u64 {
    1 << (name.len() % 64)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Parses a head. Returns its request, `None` if it is incomplete, or the status of the error response.
    fn read(head: &str) -> Result<Option<PlainRequest>, u16> {
        let mut storage = header_storage();
        let head = RequestHead::parse(head.as_bytes(), &mut storage);
        head.map(|head| head.map(|head| head.to_plain_request())).map_err(|error_response| error_response.status)
    }

    fn with(headers: &str) -> Result<Option<PlainRequest>, u16> {
        read(&format!("POST /send HTTP/1.1\r\n{headers}\r\n"))
    }

    #[test]
    fn head_without_exactly_one_valid_host_is_rejected() {
        for headers in
            ["", "Host: a\r\nHost: a\r\n", "Host: a b\r\n", "Host: user@a\r\n", "Host: [::1\r\n", "Host: <x>\r\n"]
        {
            assert_eq!(with(headers), Err(400), "{headers:?}");
        }
        assert!(with("Host: \r\n").is_ok_and(|request| request.is_some()));
        assert!(read("GET / HTTP/1.0\r\n\r\n").is_ok_and(|request| request.is_some()));
        assert_eq!(read("GET / HTTP/1.0\r\nHost: a/b\r\n\r\n"), Err(400));
        assert_eq!(read("GET http://user@a/ HTTP/1.1\r\nHost: a\r\n\r\n"), Err(400));
        assert_eq!(read("GET http:///hub HTTP/1.1\r\nHost: a\r\n\r\n"), Err(400));
    }

    #[test]
    fn absolute_target_is_split_into_path_and_query() {
        for (target, path, query) in [
            ("http://vault.example/notifications/hub?a=b", "/notifications/hub", "a=b"),
            ("HTTPS://vault.example:443", "/", ""),
            ("http://[::1]?a", "/", "a"),
            ("/http://x", "/http://x", ""),
            ("*", "*", ""),
        ] {
            let text = format!("OPTIONS {target} HTTP/1.1\r\nHost: a\r\n\r\n");
            let mut storage = header_storage();
            let head = RequestHead::parse(text.as_bytes(), &mut storage).ok().flatten().expect(target);
            assert_eq!((head.path, head.query), (path, query), "{target}");
        }
    }

    #[test]
    fn body_with_ambiguous_length_or_coding_is_rejected() {
        let length =
            |headers: &str| with(&format!("Host: a\r\n{headers}")).map(|request| request.and_then(|it| it.length));
        let head = "POST /send HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n".len() as u64;
        assert_eq!(length("Content-Length: 5\r\n"), Ok(Some(head + 5)));
        assert_eq!(length("Transfer-Encoding: Chunked\r\n"), Ok(None));
        for headers in
            ["Content-Length: 5\r\nContent-Length: 5\r\n", "Content-Length: 5, 5\r\n", "Content-Length: +5\r\n"]
        {
            assert_eq!(length(headers), Err(400), "{headers:?}");
        }
        for codings in ["chunked, chunked", "gzip, chunked", "identity", "chunked\r\nTransfer-Encoding: chunked", ""] {
            assert_eq!(length(&format!("Transfer-Encoding: {codings}\r\n")), Err(501), "{codings:?}");
        }
        let both = with("Host: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n");
        assert!(both.is_ok_and(|request| request.is_some_and(|request| request.is_last)));
        assert_eq!(read("POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n"), Err(400));
    }

    #[test]
    fn purpose_from_path_is_probe_send_hub_or_anonymous() {
        for (path, purpose) in [
            ("/alive", Purpose::Probe),
            ("/", Purpose::Probe),
            ("/notifications/SEND/", Purpose::Send),
            ("//hub/negotiate", Purpose::Hub),
            ("/anonymous-hub", Purpose::Anonymous),
            ("/nobody", Purpose::Anonymous),
        ] {
            assert_eq!(Purpose::from_path(path), purpose, "{path}");
        }
    }
}
