//! Classifies requests on the public port by their head. Reactors serve unambiguous WebSocket upgrades on a hub's path. All other
//! requests go to axum with their bytes unchanged. No I/O.

use std::borrow::Cow;

use axum::http::HeaderMap;
use axum::http::header::ACCEPT;

use super::error_response::ErrorResponse;
use super::paths;
use super::request_head::{BodyLength, Headers, PlainRequest, RequestHead, header_storage};
use crate::auth::bearer::{self, BearerToken};
use crate::auth::{Principal, Query};
use crate::signalr::Hub;
use crate::websocket::{self, Accept};

/// The kind of a request, which decides whether a reactor or axum serves it.
#[derive(Debug)]
pub enum RequestKind {
    /// The head is not complete yet.
    Incomplete,
    /// A WebSocket upgrade.
    Upgrade(Upgrade),
    /// A request for axum.
    Plain(PlainRequest),
    /// An invalid request, with its response.
    Reject(ErrorResponse),
    /// A malformed header of the PROXY protocol, or one that is not accepted from the peer. Never returned by [`classify`].
    ProxyHeader,
}

/// A WebSocket upgrade whose token has yet to be verified.
#[derive(Debug)]
pub struct Upgrade {
    /// The client's token.
    pub token: Option<BearerToken>,
    /// The value of `Sec-WebSocket-Accept`.
    pub accept: Accept,
    /// The value of `X-Forwarded-For`, as it was received.
    pub forwarded: String,
    /// The principal, on the anonymous hub, where no token is verified.
    pub principal: Option<Principal>,
    /// The connection token, or `None` if the client did not negotiate.
    pub id: Option<String>,
    /// The value of `Origin`.
    pub origin: Option<String>,
    /// The length of the head, in bytes. The client's first frames may follow it.
    pub length: usize,
}

/// Classifies a request by the bytes that were received.
pub fn classify(bytes: &[u8]) -> RequestKind {
    let mut storage = header_storage();
    let head = match RequestHead::parse(bytes, &mut storage) {
        Ok(Some(head)) => head,
        Ok(None) => return RequestKind::Incomplete,
        Err(error_response) => return RequestKind::Reject(error_response),
    };
    let headers = &head.headers;
    let upgrades = headers.contains_token("Connection", "Upgrade") && headers.contains_token("Upgrade", "websocket");
    let is_upgrade = head.method == "GET"
        && head.is_http_1_1
        && upgrades
        && headers.get_all("Expect").next().is_none()
        && !headers.get_all("Accept").any(is_event_stream);
    let Some(hub) = paths::hub_for_path(head.path).filter(|_| is_upgrade) else {
        return RequestKind::Plain(head.to_plain_request());
    };
    match upgrade(hub, &head) {
        Ok(upgrade) => RequestKind::Upgrade(upgrade),
        Err(error_response) => RequestKind::Reject(error_response),
    }
}

/// Returns the `Origin` of a request, even if its head is invalid. `None` if there is not exactly one.
pub fn origin(bytes: &[u8]) -> Option<String> {
    let mut storage = [httparse::EMPTY_HEADER; 100];
    let mut request = httparse::Request::new(&mut storage);
    request.parse(bytes).ok()?;
    let mut origins = request.headers.iter().filter(|header| header.name.eq_ignore_ascii_case("Origin"));
    let origin = origins.next().filter(|_| origins.next().is_none())?;
    Some(String::from_utf8_lossy(origin.value.trim_ascii()).into_owned())
}

fn upgrade(hub: Hub, head: &RequestHead<'_>) -> Result<Upgrade, ErrorResponse> {
    let headers: &Headers<'_> = &head.headers;
    if head.body != BodyLength::Known(0) {
        return Err(ErrorResponse::json(400, "An upgrade must not have a body."));
    }
    if headers.get_single("Sec-WebSocket-Version") != Some(b"13") {
        let message = "The header Sec-WebSocket-Version: 13 is missing.";
        return Err(ErrorResponse::json(426, message).with("sec-websocket-version", "13").with("upgrade", "websocket"));
    }
    let accept = headers.get_single("Sec-WebSocket-Key").and_then(websocket::accept).ok_or_else(|| {
        ErrorResponse::json(400, "The header Sec-WebSocket-Key is missing, or is not 16 bytes in Base64.")
    })?;
    let query = Query::parse(head.query);
    Ok(Upgrade {
        token: bearer::find_token(headers.get_all("Authorization").next(), &query),
        accept,
        forwarded: headers.get_all("X-Forwarded-For").map(String::from_utf8_lossy).collect::<Vec<_>>().join(","),
        principal: (hub == Hub::Anonymous).then(|| Principal::anonymous(&query)),
        id: query.value("id").map(Cow::into_owned),
        origin: headers.get_single("Origin").map(|origin| String::from_utf8_lossy(origin).into_owned()),
        length: head.length,
    })
}

/// Returns `true` if an `Accept` header asks for Server-Sent Events: one of its items is `text/event-stream` without parameters,
/// as in the upstream service.
pub fn is_event_stream(accept: &[u8]) -> bool {
    accept.split(|&byte| byte == b',').any(|item| item.trim_ascii().eq_ignore_ascii_case(b"text/event-stream"))
}

/// Returns whether the headers of a request ask for Server-Sent Events.
pub(super) fn accepts_event_stream(headers: &HeaderMap) -> bool {
    headers.get_all(ACCEPT).into_iter().any(|value| is_event_stream(value.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::request_head::MAX_HEAD_BYTES;

    const GOOD: &str = "GET /hub?access_token=a.b.c HTTP/1.1\r\nHost: x\r\nConnection: keep-alive, Upgrade\r\n\
        Upgrade: WebSocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";

    fn status(text: &str) -> Option<u16> {
        match classify(text.as_bytes()) {
            RequestKind::Reject(error_response) => Some(error_response.status),
            _ => None,
        }
    }

    fn is_upgrade(text: &str) -> bool {
        matches!(classify(text.as_bytes()), RequestKind::Upgrade(_))
    }

    #[test]
    fn head_valid_upgrade_on_hub_path_is_upgrade() {
        let RequestKind::Upgrade(upgrade) = classify(GOOD.as_bytes()) else { panic!("no upgrade") };
        assert_eq!(&upgrade.accept, b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
        assert_eq!(upgrade.token.expect("a token").reveal(), "a.b.c");
        assert_eq!(upgrade.length, GOOD.len());
        for path in
            ["/HUB/", "/notifications/hub", "/Notifications/Hub/", "//hub", "/%68ub", "http://vault.example/hub"]
        {
            assert!(is_upgrade(&GOOD.replace("/hub", path)), "{path}");
        }
    }

    #[test]
    fn head_anonymous_hub_upgrade_carries_the_login_request_id() {
        let classify = |target: &str| match classify(GOOD.replace("/hub?access_token=a.b.c", target).as_bytes()) {
            RequestKind::Upgrade(upgrade) => upgrade
                .principal
                .map(|principal| (principal.hub(), principal.id().map(|id| id.to_string())))
                .expect("an anonymous principal"),
            other => panic!("{target}: {other:?}"),
        };
        let id = Some("dddddddd-dddd-dddd-dddd-dddddddddddd".to_owned());
        assert_eq!(classify("/anonymous-hub?Token=DDDDDDDD-dddd-dddd-dddd-dddddddddddd"), (Hub::Anonymous, id.clone()));
        assert_eq!(
            classify("/Notifications/Anonymous-Hub/?token=dddddddddddddddddddddddddddddddd"),
            (Hub::Anonymous, id.clone())
        );
        assert_eq!(classify("/anonymous-hub?Token=joe"), (Hub::Anonymous, None));
        assert_eq!(classify("/anonymous-hub"), (Hub::Anonymous, None));
    }

    #[test]
    fn head_cut_at_any_byte_is_incomplete() {
        for end in 0..GOOD.len() {
            assert!(matches!(classify(&GOOD.as_bytes()[..end]), RequestKind::Incomplete), "cut at {end}");
        }
        let http_2 = b"PRI * HTTP/2.0";
        for end in 0..http_2.len() {
            assert!(matches!(classify(&http_2[..end]), RequestKind::Incomplete), "HTTP/2, cut at {end}");
        }
    }

    #[test]
    fn head_other_than_an_upgrade_is_plain() {
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
            assert!(matches!(classify(request.as_bytes()), RequestKind::Plain(_)), "{to}");
        }
    }

    #[test]
    fn is_event_stream_accepts_only_the_exact_media_type() {
        for accept in ["text/event-stream", "Text/Event-Stream", "application/json, text/event-stream"] {
            assert!(is_event_stream(accept.as_bytes()), "{accept}");
        }
        for accept in ["text/event-streamx", "text/event-stream;q=1", "x-text/event-stream", "*/*", ""] {
            assert!(!is_event_stream(accept.as_bytes()), "{accept}");
        }
    }

    #[test]
    fn head_invalid_request_has_an_error_status() {
        assert_eq!(status(&GOOD.replace("Version: 13", "Version: 8")), Some(426));
        assert_eq!(status(&GOOD.replace("Sec-WebSocket-Version: 13\r\n", "")), Some(426));
        assert_eq!(status(&GOOD.replace("dGhlIHNhbXBsZSBub25jZQ==", "abc")), Some(400));
        assert_eq!(status(&GOOD.replace("Host: x\r\n", "")), Some(400));
        assert_eq!(status(&GOOD.replace("Host: x", "Host: x\r\nContent-Length: 3")), Some(400));
        assert_eq!(status(&GOOD.replace("Host: x", "Host: x\r\nTransfer-Encoding: chunked")), Some(400));
        assert_eq!(status("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"), Some(505));
        assert_eq!(status("\x16\x03\x01\x02\x00\x01"), Some(400));
        let long = format!("GET /hub HTTP/1.1\r\nX: {}", "x".repeat(MAX_HEAD_BYTES));
        assert_eq!(status(&long), Some(431));
    }
}
