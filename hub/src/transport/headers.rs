//! The headers that go with every answer on the public port, and whole answers for connections that axum never sees.

use std::borrow::Cow;

/// What every answer carries, the 101 included (`signalr.md` 7.4).
pub const SECURITY: [(&str, &str); 3] =
    [("x-frame-options", "SAMEORIGIN"), ("x-xss-protection", "1; mode=block"), ("x-content-type-options", "nosniff")];

/// Who answers.
pub const SERVER: &str = concat!("notification-hub/", env!("CARGO_PKG_VERSION"));

/// After how many seconds to try again, with every 503 and 429.
pub const RETRY_AFTER: &str = "5";

/// What the original sends with a plain GET on a hub, so that nothing keeps the answer.
pub const NO_CACHE: [(&str, &str); 3] =
    [("cache-control", "no-cache, no-store"), ("pragma", "no-cache"), ("expires", "Thu, 01 Jan 1970 00:00:00 GMT")];

/// The head of an answer, up to and without the empty line.
fn head(status: u16, reason: &str) -> String {
    let mut head = format!("HTTP/1.1 {status} {reason}\r\nServer: {SERVER}\r\n");
    for (name, value) in SECURITY {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    head
}

/// The answer to a good upgrade, with more headers than every answer has.
pub fn switching(accept: &str, more: &[(&'static str, String)]) -> Vec<u8> {
    let mut head = head(101, "Switching Protocols");
    for (name, value) in more {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    format!("{head}Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: {accept}\r\n\r\n").into_bytes()
}

/// An answer after which the connection ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// The status.
    pub status: u16,
    /// Headers beside those that every answer has.
    pub headers: Vec<(&'static str, Cow<'static, str>)>,
    /// The body: a JSON error, or nothing.
    pub body: Vec<u8>,
}

impl Refusal {
    /// A status alone.
    pub fn bare(status: u16) -> Refusal {
        Refusal { status, headers: Vec::new(), body: Vec::new() }
    }

    /// A status with a JSON error that says what is wrong.
    pub fn explained(status: u16, message: &str) -> Refusal {
        let headers = vec![("content-type", Cow::from("application/json; charset=utf-8"))];
        Refusal { status, headers, body: error_body(message) }
    }

    /// For now there is no room: 503, and when to try again.
    pub fn busy(message: &str) -> Refusal {
        Refusal::explained(503, message).with("retry-after", RETRY_AFTER)
    }

    /// Whoever asks has enough already: 429, and when to try again.
    pub fn too_many(message: &str) -> Refusal {
        Refusal::explained(429, message).with("retry-after", RETRY_AFTER)
    }

    /// The same with another header.
    pub fn with(mut self, name: &'static str, value: impl Into<Cow<'static, str>>) -> Refusal {
        self.headers.push((name, value.into()));
        self
    }

    /// The bytes of the answer.
    pub fn bytes(&self) -> Vec<u8> {
        let reason = http::StatusCode::from_u16(self.status).ok().and_then(|status| status.canonical_reason());
        let mut answer = head(self.status, reason.unwrap_or("Error"));
        for (name, value) in &self.headers {
            answer.push_str(&format!("{name}: {value}\r\n"));
        }
        answer.push_str(&format!("Content-Length: {}\r\nConnection: close\r\n\r\n", self.body.len()));
        let mut answer = answer.into_bytes();
        answer.extend_from_slice(&self.body);
        answer
    }
}

/// An error as Bitwarden's services write it; its senders read `message`.
pub fn error_body(message: &str) -> Vec<u8> {
    serde_json::json!({ "message": message, "validationErrors": null }).to_string().into_bytes()
}
