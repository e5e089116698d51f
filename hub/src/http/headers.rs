//! The headers and timeouts of HTTP responses, and the response to a WebSocket upgrade. No I/O.

use std::sync::LazyLock;
use std::time::Duration;

use crate::websocket::Accept;

/// The security headers of every response, including 101 (`signalr.md` 7.4).
pub const SECURITY_HEADERS: [(&str, &str); 3] =
    [("x-frame-options", "SAMEORIGIN"), ("x-xss-protection", "1; mode=block"), ("x-content-type-options", "nosniff")];

/// The value of `Server`.
pub const SERVER: &str = concat!("notification-hub/", env!("CARGO_PKG_VERSION"));

/// The value of `Retry-After` in every 503 and 429, in seconds.
pub const RETRY_AFTER_SECONDS: &str = "5";

/// The timeout of receiving the head of a request.
pub const REQUEST_HEAD_TIMEOUT: Duration = Duration::from_secs(10);

/// The time for which an idle connection is kept for its next request, as in the upstream service.
pub const KEEP_ALIVE_TIMEOUT: Duration = Duration::from_secs(130);

/// The longest time that a connection lingers after its last response, so that the client can read it.
pub const ERROR_LINGER: Duration = Duration::from_secs(1);

/// The headers of responses to a GET on a hub's path, which disable caches as in the upstream service.
pub const NO_CACHE_HEADERS: [(&str, &str); 3] =
    [("cache-control", "no-cache, no-store"), ("pragma", "no-cache"), ("expires", "Thu, 01 Jan 1970 00:00:00 GMT")];

/// The header lines that every response has.
static COMMON_HEADERS: LazyLock<String> = LazyLock::new(|| {
    let security: String = SECURITY_HEADERS.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    format!("Server: {SERVER}\r\n{security}")
});

/// Returns the head of a response with the common headers and further ones, without the empty line at its end.
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

/// Returns the response to a valid upgrade, with the common headers and further ones.
pub fn switching_protocols(accept: &Accept, headers: &[(&'static str, String)]) -> Vec<u8> {
    let headers = headers.iter().map(|(name, value)| (*name, value.as_str()));
    let mut head = response_head("101 Switching Protocols", headers);
    head.extend_from_slice(b"Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: ");
    head.extend_from_slice(accept);
    head.extend_from_slice(b"\r\n\r\n");
    head
}
