//! The headers that go with every answer on the public port, and the answer to an upgrade.

use std::sync::LazyLock;
use std::time::Duration;

use crate::websocket::Accept;

/// What every answer carries, the 101 included (`signalr.md` 7.4).
pub const SECURITY_HEADERS: [(&str, &str); 3] =
    [("x-frame-options", "SAMEORIGIN"), ("x-xss-protection", "1; mode=block"), ("x-content-type-options", "nosniff")];

/// Who answers.
pub const SERVER: &str = concat!("notification-hub/", env!("CARGO_PKG_VERSION"));

/// After how many seconds to try again, with every 503 and 429.
pub const RETRY_AFTER: &str = "5";

/// How long a request's head may take.
pub const REQUEST_HEAD_TIMEOUT: Duration = Duration::from_secs(10);

/// How long a connection is kept for its next request, as the original does.
pub const KEEP_ALIVE_TIMEOUT: Duration = Duration::from_secs(130);

/// How long a client has to read its last answer.
pub const ERROR_LINGER: Duration = Duration::from_secs(1);

/// What the original sends with a plain GET on a hub, so that nothing keeps the answer.
pub const NO_CACHE: [(&str, &str); 3] =
    [("cache-control", "no-cache, no-store"), ("pragma", "no-cache"), ("expires", "Thu, 01 Jan 1970 00:00:00 GMT")];

/// The lines that every answer has.
static COMMON_HEADERS: LazyLock<String> = LazyLock::new(|| {
    let security: String = SECURITY_HEADERS.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    format!("Server: {SERVER}\r\n{security}")
});

/// The head of an answer with these headers beside those that every answer has, up to and without the empty line.
pub fn response_head<'a>(status: &str, headers: impl IntoIterator<Item = (&'a str, &'a str)>) -> Vec<u8> {
    let mut head = Vec::with_capacity(512);
    for part in ["HTTP/1.1 ", status, "\r\n", COMMON_HEADERS.as_str()] {
        head.extend_from_slice(part.as_bytes());
    }
    for (name, value) in headers {
        for part in [name, ": ", value, "\r\n"] {
            head.extend_from_slice(part.as_bytes());
        }
    }
    head
}

/// The answer to a good upgrade, with more headers than every answer has.
pub fn switching_protocols(accept: &Accept, more: &[(&'static str, String)]) -> Vec<u8> {
    let more = more.iter().map(|(name, value)| (*name, value.as_str()));
    let mut head = response_head("101 Switching Protocols", more);
    head.extend_from_slice(b"Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: ");
    head.extend_from_slice(accept);
    head.extend_from_slice(b"\r\n\r\n");
    head
}
