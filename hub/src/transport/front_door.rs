//! Reads the head of a request on the public port and decides whose it is (`front-door.md`): an unambiguous WebSocket
//! upgrade on a hub path is the reactors' own; everything else goes to axum with its bytes unchanged. Pure.

use std::borrow::Cow;
use std::mem::MaybeUninit;

use httparse::{EMPTY_HEADER, Header, Request, Status};

use super::paths;
use super::refusal::Refusal;
use super::websocket::{self, Accept};
use crate::auth::bearer::{self, Bearer};
use crate::auth::{Guest, Query};
use crate::delivery::Hub;

/// The largest head of a request.
pub const LARGEST_HEAD: usize = 64 * 1024;

/// How a client begins that knows beforehand that HTTP/2 is spoken.
const HTTP_2: &[u8] = b"PRI * HTTP/2.0";

/// What the head of a request asks for.
#[derive(Debug)]
pub enum Head {
    /// It is not whole yet.
    Partial,
    /// A client that wants to become a WebSocket.
    Upgrade(Upgrade),
    /// Something for axum.
    Plain {
        /// It is for a hub.
        on_hub: bool,
    },
    /// Something that is answered at once.
    Refuse(Refusal),
}

/// A WebSocket upgrade whose token has yet to be verified.
#[derive(Debug)]
pub struct Upgrade {
    /// The client's token.
    pub token: Option<Bearer>,
    /// What proves that its key was read.
    pub accept: Accept,
    /// The addresses that proxies wrote down, as they came.
    pub forwarded: String,
    /// Who it is, where that is no secret: on the anonymous hub.
    pub guest: Option<Guest>,
    /// The connection token of a negotiation, if there was one.
    pub id: Option<String>,
    /// The page that it comes from.
    pub origin: Option<String>,
    /// Where the head ends and the client's first frames may begin.
    pub length: usize,
}

/// The hub at a path, however it is spelled.
pub fn hub_at(path: &str) -> Option<Hub> {
    let stem = paths::stem(path);
    let hubs = [("/hub", Hub::Main), ("/anonymous-hub", Hub::Anonymous)];
    hubs.into_iter().find_map(|(path, hub)| path.eq_ignore_ascii_case(stem).then_some(hub))
}

/// Reads what has come of a request.
pub fn read(bytes: &[u8]) -> Head {
    let mut storage = [const { MaybeUninit::uninit() }; 100];
    let mut request = Request::new(&mut []);
    let length = match request.parse_with_uninit_headers(bytes, &mut storage) {
        Ok(Status::Complete(length)) => length,
        Ok(Status::Partial) if bytes.len() < LARGEST_HEAD => return Head::Partial,
        Ok(Status::Partial) => return too_large(),
        Err(_) if bytes.starts_with(HTTP_2) => {
            return Head::Refuse(Refusal::explained(505, "HTTP/2 without TLS is not spoken here; use HTTP/1.1."));
        }
        Err(_) if HTTP_2.starts_with(bytes) => return Head::Partial,
        Err(_) => return Head::Plain { on_hub: false },
    };
    let target = request.path.unwrap_or_default();
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let headers = Headers::new(request.headers);
    let upgrades = headers.has_token("Connection", "Upgrade") && headers.has_token("Upgrade", "websocket");
    let ours = request.method == Some("GET")
        && request.version == Some(1)
        && upgrades
        && headers.all("Expect").next().is_none()
        && !headers.all("Accept").any(is_event_stream);
    let hub = hub_at(path);
    let Some(hub) = hub.filter(|_| ours) else { return Head::Plain { on_hub: hub.is_some() } };
    match upgrade(hub, &headers, query, length) {
        Ok(upgrade) => Head::Upgrade(upgrade),
        Err(refusal) => Head::Refuse(refusal),
    }
}

/// What there is to say to a head that goes on after [`LARGEST_HEAD`].
pub fn too_large() -> Head {
    Head::Refuse(Refusal::explained(431, "The request's head is too large."))
}

/// The page that a request comes from, whatever else is wrong with it.
pub fn origin(bytes: &[u8]) -> Option<String> {
    let mut storage = [EMPTY_HEADER; 100];
    let mut request = Request::new(&mut storage);
    request.parse(bytes).ok()?;
    Headers::new(request.headers).only("Origin").map(|origin| String::from_utf8_lossy(origin).into_owned())
}

fn upgrade(hub: Hub, headers: &Headers<'_>, query: &str, length: usize) -> Result<Upgrade, Refusal> {
    let body = headers.all("Transfer-Encoding").next().is_some()
        || headers.all("Content-Length").any(|value| value.trim_ascii() != b"0")
        || headers.all("Content-Length").count() > 1;
    if body || headers.all("Host").count() != 1 {
        let needs = "An upgrade needs one Host header and no body.";
        return Err(Refusal::explained(400, needs));
    }
    if headers.only("Sec-WebSocket-Version") != Some(b"13") {
        let needs = "The header Sec-WebSocket-Version: 13 is missing.";
        return Err(Refusal::explained(426, needs).with("sec-websocket-version", "13").with("upgrade", "websocket"));
    }
    let accept = headers.only("Sec-WebSocket-Key").and_then(websocket::accept).ok_or_else(|| {
        Refusal::explained(400, "The header Sec-WebSocket-Key is missing, or is not 16 bytes in Base64.")
    })?;
    let query = Query::parse(query);
    Ok(Upgrade {
        token: bearer::find(headers.all("Authorization").next(), &query),
        accept,
        forwarded: headers.all("X-Forwarded-For").map(String::from_utf8_lossy).collect::<Vec<_>>().join(","),
        guest: (hub == Hub::Anonymous).then(|| Guest::anonymous(&query)),
        id: query.value("id").map(Cow::into_owned),
        origin: headers.only("Origin").map(|origin| String::from_utf8_lossy(origin).into_owned()),
        length,
    })
}

/// The headers of a request.
struct Headers<'a> {
    all: &'a [Header<'a>],
    /// A bit for each length of a name that there is: most of those that are looked for are not there.
    lengths: u64,
}

impl<'a> Headers<'a> {
    fn new(all: &'a [Header<'a>]) -> Headers<'a> {
        let lengths = all.iter().fold(0, |lengths, header| lengths | length_bit(header.name));
        Headers { all, lengths }
    }

    fn all(&self, name: &'static str) -> impl Iterator<Item = &'a [u8]> {
        let some = if self.lengths & length_bit(name) == 0 { &[] } else { self.all };
        some.iter().filter(move |header| is(header.name.as_bytes(), name)).map(|header| header.value)
    }

    /// The value of a header that is there once.
    fn only(&self, name: &'static str) -> Option<&'a [u8]> {
        let mut all = self.all(name);
        let value = all.next()?;
        all.next().is_none().then(|| value.trim_ascii())
    }

    /// Whether a list of tokens holds one.
    fn has_token(&self, name: &'static str, token: &str) -> bool {
        self.all(name)
            .any(|value| is(value, token) || value.split(|&byte| byte == b',').any(|item| is(item.trim_ascii(), token)))
    }
}

/// Whether a text is another one, whatever the case; mostly it is to the letter.
fn is(text: &[u8], other: &str) -> bool {
    text == other.as_bytes() || text.eq_ignore_ascii_case(other.as_bytes())
}

fn length_bit(name: &str) -> u64 {
    1 << (name.len() % 64)
}

/// Whether an `Accept` header asks for Server-Sent Events.
pub fn is_event_stream(accept: &[u8]) -> bool {
    const EVENTS: &[u8] = b"text/event-stream";
    accept.windows(EVENTS.len()).any(|window| window.eq_ignore_ascii_case(EVENTS))
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "GET /hub?access_token=a.b.c HTTP/1.1\r\nHost: x\r\nConnection: keep-alive, Upgrade\r\n\
        Upgrade: WebSocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";

    fn status(text: &str) -> Option<u16> {
        match read(text.as_bytes()) {
            Head::Refuse(refusal) => Some(refusal.status),
            _ => None,
        }
    }

    fn is_upgrade(text: &str) -> bool {
        matches!(read(text.as_bytes()), Head::Upgrade(_))
    }

    #[test]
    fn a_good_upgrade_is_ours() {
        let Head::Upgrade(upgrade) = read(GOOD.as_bytes()) else { panic!("no upgrade") };
        assert_eq!(&upgrade.accept, b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
        assert_eq!(upgrade.token.expect("a token").reveal(), "a.b.c");
        assert_eq!(upgrade.length, GOOD.len());
        for path in ["/HUB/", "/notifications/hub", "/Notifications/Hub/"] {
            assert!(is_upgrade(&GOOD.replace("/hub", path)), "{path}");
        }
    }

    #[test]
    fn the_anonymous_hub_takes_the_id_of_a_login_request() {
        let read = |target: &str| match read(GOOD.replace("/hub?access_token=a.b.c", target).as_bytes()) {
            Head::Upgrade(upgrade) => {
                upgrade.guest.map(|guest| (guest.hub(), guest.id().map(|id| id.to_string()))).expect("a guest")
            }
            other => panic!("{target}: {other:?}"),
        };
        let id = Some("dddddddd-dddd-dddd-dddd-dddddddddddd".to_owned());
        assert_eq!(read("/anonymous-hub?Token=DDDDDDDD-dddd-dddd-dddd-dddddddddddd"), (Hub::Anonymous, id.clone()));
        assert_eq!(
            read("/Notifications/Anonymous-Hub/?token=dddddddddddddddddddddddddddddddd"),
            (Hub::Anonymous, id.clone())
        );
        assert_eq!(read("/anonymous-hub?Token=joe"), (Hub::Anonymous, None));
        assert_eq!(read("/anonymous-hub"), (Hub::Anonymous, None));
    }

    #[test]
    fn every_cut_of_it_is_partial() {
        for end in 0..GOOD.len() {
            assert!(matches!(read(&GOOD.as_bytes()[..end]), Head::Partial), "cut at {end}");
        }
        for end in 0..HTTP_2.len() {
            assert!(matches!(read(&HTTP_2[..end]), Head::Partial), "HTTP/2, cut at {end}");
        }
    }

    #[test]
    fn the_rest_is_axums() {
        for (from, to) in [
            ("GET", "POST"),
            ("HTTP/1.1", "HTTP/1.0"),
            ("/hub", "/hubs"),
            ("/hub", "/notification/hub"),
            ("/hub", "/send"),
            ("keep-alive, Upgrade", "keep-alive"),
            ("Upgrade: WebSocket", "Upgrade: h2c"),
            ("Host: x", "Host: x\r\nAccept: text/event-stream"),
            ("Host: x", "Host: x\r\nExpect: 100-continue"),
        ] {
            let request = GOOD.replacen(from, to, 1);
            assert!(matches!(read(request.as_bytes()), Head::Plain { .. }), "{to}");
        }
        assert!(matches!(read(b"\x16\x03\x01\x02\x00\x01"), Head::Plain { .. }));
    }

    #[test]
    fn what_is_wrong_is_said_before_authentication() {
        assert_eq!(status(&GOOD.replace("Version: 13", "Version: 8")), Some(426));
        assert_eq!(status(&GOOD.replace("Sec-WebSocket-Version: 13\r\n", "")), Some(426));
        assert_eq!(status(&GOOD.replace("dGhlIHNhbXBsZSBub25jZQ==", "abc")), Some(400));
        assert_eq!(status(&GOOD.replace("Host: x\r\n", "")), Some(400));
        assert_eq!(status(&GOOD.replace("Host: x", "Host: x\r\nContent-Length: 3")), Some(400));
        assert_eq!(status(&GOOD.replace("Host: x", "Host: x\r\nTransfer-Encoding: chunked")), Some(400));
        assert_eq!(status("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"), Some(505));
        let long = format!("GET /hub HTTP/1.1\r\nX: {}", "x".repeat(LARGEST_HEAD));
        assert_eq!(status(&long), Some(431));
    }
}
