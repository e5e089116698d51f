//! Server-Sent Events (`signalr.md` 2.4): one answer that does not end, a message an event.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::http::header::{CACHE_CONTROL, CONNECTION, CONTENT_ENCODING, CONTENT_TYPE, PRAGMA};
use axum::response::{IntoResponse, Response};
use futures_util::stream;
use tokio::sync::mpsc;
use tokio::time::timeout;

use super::lease::Lease;
use super::relay::{Heard, Relay};

/// What every answer begins with, so that the client knows that it is connected.
pub const FIRST: &[u8] = b":\r\n";

/// How many pieces of events wait between the hub and the client's socket; more of them wait in the reactor, within its limits.
const WAITING: usize = 4;

/// The largest piece, in bytes: a client that takes one is not too slow, however large the event.
const MAX_PIECE_BYTES: usize = 16 * 1024;

/// How long the last events may take once the hub has ended the connection.
const LAST_EVENTS: Duration = Duration::from_secs(5);

/// Answers with what the hub says, until it or the client ends. `patience`: how long a client may take nothing at all; `over` is
/// told at the end whether it took none for so long.
pub fn answer(
    relay: Arc<Relay>,
    lease: Lease,
    patience: Duration,
    over: impl FnOnce(bool) + Send + 'static,
) -> Response {
    let (events, body) = mpsc::channel(WAITING);
    tokio::spawn(async move {
        let slow = pass_on(&relay, &events, patience).await;
        over(slow);
        drop(events);
        lease.end_within(if slow { Duration::ZERO } else { LAST_EVENTS });
    });
    let body = stream::unfold(body, async |mut body| body.recv().await.map(|event| (Ok::<_, Infallible>(event), body)));
    let headers = [
        (CONTENT_TYPE, "text/event-stream"),
        (CACHE_CONTROL, "no-cache,no-store"),
        (PRAGMA, "no-cache"),
        (CONTENT_ENCODING, "identity"),
        // Nothing comes behind events: a client that was cut off is not to wait for more.
        (CONNECTION, "close"),
    ];
    (headers, Body::from_stream(body)).into_response()
}

/// Passes on what the hub says; true if the client was too slow for it, and the hub does not know.
async fn pass_on(relay: &Relay, events: &mpsc::Sender<Bytes>, patience: Duration) -> bool {
    let Some(mut turn) = relay.turn().await else { return false };
    let mut next = Bytes::from_static(FIRST);
    loop {
        while !next.is_empty() {
            let piece = next.split_to(next.len().min(MAX_PIECE_BYTES));
            match timeout(patience, events.send(piece)).await {
                Ok(Ok(())) => {}
                Ok(Err(_)) => return false,
                Err(_) => return !turn.is_over(),
            }
        }
        next = tokio::select! {
            heard = turn.hear() => match heard {
                Heard::Message(message) => event(&message).into(),
                Heard::Interrupted | Heard::Over => return false,
            },
            () = events.closed() => return false,
        };
    }
}

/// Encodes one event: a line of data for each line of the payload. A carriage return alone ends a line as well.
pub fn event(payload: &[u8]) -> Vec<u8> {
    let mut event = Vec::with_capacity(payload.len() + 16);
    if !payload.is_empty() {
        let lines = payload.split(|&byte| byte == b'\n').map(|line| line.strip_suffix(b"\r").unwrap_or(line));
        for line in lines.flat_map(|line| line.split(|&byte| byte == b'\r')) {
            event.extend_from_slice(b"data: ");
            event.extend_from_slice(line);
            event.extend_from_slice(b"\r\n");
        }
    }
    event.extend_from_slice(b"\r\n");
    event
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn event_has_one_data_line_per_payload_line() {
        for payload in ["{\n}", "{\r\n}", "{\r}"] {
            assert_eq!(event(payload.as_bytes()), b"data: {\r\ndata: }\r\n\r\n", "{payload:?}");
        }
        assert_eq!(event(b"{\r\r\n}"), b"data: {\r\ndata: \r\ndata: }\r\n\r\n");
    }
}
