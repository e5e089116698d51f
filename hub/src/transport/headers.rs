//! The headers that go with every answer on the public port, and the answer to an upgrade.

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
pub fn head(status: u16, reason: &str) -> String {
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
