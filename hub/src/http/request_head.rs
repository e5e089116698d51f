//! The head of a request on whatever port: whether it is whole, whether it can be understood in one way only, and what it is for
//! (RFC 9112). No I/O.

use std::mem::MaybeUninit;

use httparse::{Error, Header, Request, Status};

use super::error_response::ErrorResponse;
use super::{host, paths};

/// The largest head of a request, in bytes.
pub const MAX_HEAD_BYTES: usize = 64 * 1024;

/// The most headers of a request.
const MAX_HEADERS: usize = 100;

/// How a client begins that knows beforehand that HTTP/2 is spoken.
const HTTP_2: &[u8] = b"PRI * HTTP/2.0";

/// Room for the headers of one request.
pub type HeaderStorage<'a> = [MaybeUninit<Header<'a>>; MAX_HEADERS];

/// Empty room.
pub const fn header_storage<'a>() -> HeaderStorage<'a> {
    [const { MaybeUninit::uninit() }; MAX_HEADERS]
}

/// A whole head with one meaning.
pub struct RequestHead<'a> {
    /// The method, as it is spelled.
    pub method: &'a str,
    /// HTTP/1.1, not 1.0.
    pub is_http_1_1: bool,
    /// The path of the target, as it is spelled.
    pub path: &'a str,
    /// What stands behind the question mark.
    pub query: &'a str,
    /// The headers.
    pub headers: Headers<'a>,
    /// How many bytes the head has.
    pub length: usize,
    /// How long the body is.
    pub body: BodyLength,
    /// The framing is said twice: it is obeyed, but nothing behind it is believed to be a request.
    pub is_last: bool,
}

/// How the end of a request's body is found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BodyLength {
    /// By its length in bytes, 0 if there is no body.
    Known(u64),
    /// By its last chunk.
    Chunked,
}

/// What a request is for: each purpose has a share of the requests that are served at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// `/alive` and its like: whether the hub is there.
    Probe,
    /// A push.
    Send,
    /// The main hub.
    Hub,
    /// The anonymous hub, and whatever nobody serves: no token is needed there.
    Anonymous,
}

impl Purpose {
    /// All of them.
    pub const VARIANTS: [Purpose; 4] = [Purpose::Probe, Purpose::Send, Purpose::Hub, Purpose::Anonymous];

    /// The purpose of requests for a path, however it is spelled.
    pub fn of_path(path: &str) -> Purpose {
        match paths::canonical(path).as_str() {
            "/" | "/alive" | "/now" | "/version" => Purpose::Probe,
            "/send" => Purpose::Send,
            "/hub" | "/hub/negotiate" => Purpose::Hub,
            _ => Purpose::Anonymous,
        }
    }
}

/// A request that is served by axum.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PlainRequest {
    /// What it is for.
    pub purpose: Purpose,
    /// It is for a hub, and may wait for what that says.
    pub on_hub: bool,
    /// How many bytes of it are known: its head, and its body unless that comes in chunks.
    pub length: Option<u64>,
    /// Nothing behind it is a request.
    pub is_last: bool,
}

impl<'a> RequestHead<'a> {
    /// Reads what has come of a request; `None` while its head is not whole.
    ///
    /// # Errors
    /// The answer to a head that is too large, or cannot be understood in one way only.
    pub fn parse(
        bytes: &'a [u8],
        storage: &'a mut HeaderStorage<'a>,
    ) -> Result<Option<RequestHead<'a>>, ErrorResponse> {
        let mut request = Request::new(&mut []);
        let length = match request.parse_with_uninit_headers(bytes, storage) {
            Ok(Status::Complete(length)) => length,
            Ok(Status::Partial) if bytes.len() < MAX_HEAD_BYTES => return Ok(None),
            Ok(Status::Partial) | Err(Error::TooManyHeaders) => return Err(too_large()),
            Err(_) if bytes.starts_with(HTTP_2) => {
                return Err(ErrorResponse::json(505, "HTTP/2 without TLS is not spoken here; use HTTP/1.1."));
            }
            Err(_) if HTTP_2.starts_with(bytes) => return Ok(None),
            Err(error) => return Err(ErrorResponse::json(400, &format!("This is no request of HTTP/1.1: {error}."))),
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
                "A request needs one header Host: a name or an address, with a port or without.",
            ));
        }
        let (body, is_last) = body_length(&headers, is_http_1_1)?;
        let method = request.method.unwrap_or_default();
        let path = if path.is_empty() { "/" } else { path };
        Ok(Some(RequestHead { method, is_http_1_1, path, query, headers, length, body, is_last }))
    }

    /// The same as a request for axum.
    pub fn plain(&self) -> PlainRequest {
        let length = match self.body {
            BodyLength::Known(body) => Some(body.saturating_add(self.length as u64)),
            BodyLength::Chunked => None,
        };
        let (purpose, on_hub) = (Purpose::of_path(self.path), paths::hub_at(self.path).is_some());
        PlainRequest { purpose, on_hub, length, is_last: self.is_last }
    }
}

/// The answer to a head that goes on after [`MAX_HEAD_BYTES`], or has too many headers.
pub fn too_large() -> ErrorResponse {
    ErrorResponse::json(431, "The request's head is too large.")
}

/// Returns the authority of a target in absolute form (RFC 9112 3.2.2), and the rest of it.
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

/// Returns how long the body is, and whether it is said twice (RFC 9112 6.3).
fn body_length(headers: &Headers<'_>, is_http_1_1: bool) -> Result<(BodyLength, bool), ErrorResponse> {
    let (codings, lengths) = (headers.get_all("Transfer-Encoding").count(), headers.get_all("Content-Length").count());
    if codings > 0 {
        let is_chunked =
            headers.get_single("Transfer-Encoding").is_some_and(|coding| coding.eq_ignore_ascii_case(b"chunked"));
        return match (is_chunked, is_http_1_1) {
            (true, true) => Ok((BodyLength::Chunked, lengths > 0)),
            (true, false) => Err(ErrorResponse::json(400, "Transfer-Encoding needs HTTP/1.1.")),
            (false, _) => Err(ErrorResponse::json(501, "Of all transfer codings only chunked is understood, once.")),
        };
    }
    let length = match (lengths, headers.get_single("Content-Length")) {
        (0, _) => Some(0),
        (_, Some(value)) if value.iter().all(u8::is_ascii_digit) => {
            std::str::from_utf8(value).ok().and_then(|value| value.parse().ok())
        }
        _ => None,
    };
    let length =
        length.ok_or_else(|| ErrorResponse::json(400, "A request has at most one Content-Length, a number."))?;
    Ok((BodyLength::Known(length), false))
}

/// The headers of a request.
pub struct Headers<'a> {
    all: &'a [Header<'a>],
    /// A bit for each length of a name that there is: most of those that are looked for are not there.
    lengths: u64,
}

impl<'a> Headers<'a> {
    fn new(all: &'a [Header<'a>]) -> Headers<'a> {
        let lengths = all.iter().fold(0, |lengths, header| lengths | name_length_bit(header.name));
        Headers { all, lengths }
    }

    /// The values of a header, one for each time that it is there.
    pub fn get_all(&self, name: &'static str) -> impl Iterator<Item = &'a [u8]> + use<'a> {
        let some = if self.lengths & name_length_bit(name) == 0 { &[] } else { self.all };
        some.iter().filter(move |header| eq_ignore_case(header.name.as_bytes(), name)).map(|header| header.value)
    }

    /// The value of a header that is there once.
    pub fn get_single(&self, name: &'static str) -> Option<&'a [u8]> {
        let mut all = self.get_all(name);
        let value = all.next()?;
        all.next().is_none().then(|| value.trim_ascii())
    }

    /// Whether a list of tokens holds one.
    pub fn contains_token(&self, name: &'static str, token: &str) -> bool {
        self.get_all(name).any(|value| {
            eq_ignore_case(value, token)
                || value.split(|&byte| byte == b',').any(|item| eq_ignore_case(item.trim_ascii(), token))
        })
    }
}

/// Whether a text is another one, whatever the case; mostly it is to the letter.
fn eq_ignore_case(text: &[u8], other: &str) -> bool {
    text == other.as_bytes() || text.eq_ignore_ascii_case(other.as_bytes())
}

fn name_length_bit(name: &str) -> u64 {
    1 << (name.len() % 64)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What becomes of a head: a request, a status, or nothing yet.
    fn read(head: &str) -> Result<Option<PlainRequest>, u16> {
        let mut storage = header_storage();
        let head = RequestHead::parse(head.as_bytes(), &mut storage);
        head.map(|head| head.map(|head| head.plain())).map_err(|error_response| error_response.status)
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
    fn purpose_of_path_is_probe_send_hub_or_anonymous() {
        for (path, purpose) in [
            ("/alive", Purpose::Probe),
            ("/", Purpose::Probe),
            ("/notifications/SEND/", Purpose::Send),
            ("//hub/negotiate", Purpose::Hub),
            ("/anonymous-hub", Purpose::Anonymous),
            ("/nobody", Purpose::Anonymous),
        ] {
            assert_eq!(Purpose::of_path(path), purpose, "{path}");
        }
    }
}
