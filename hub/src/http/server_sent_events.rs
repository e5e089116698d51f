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

use super::relay::{PollOutcome, Relay};
use super::request_budget::RequestBudget;

/// What every answer begins with, so that the client knows that it is connected.
pub const PREAMBLE: &[u8] = b":\r\n";

/// How many pieces of events wait between the hub and the client's socket; more of them wait in the reactor, within its limits.
const CHANNEL_CAPACITY: usize = 4;

/// The largest piece, in bytes: a client that takes one is not too slow, however large the event.
const MAX_PIECE_BYTES: usize = 16 * 1024;

/// How long the last events may take once the hub has ended the connection.
const FLUSH_TIMEOUT: Duration = Duration::from_secs(5);

/// Answers with what the hub says, until it or the client ends. `write_timeout`: how long a client may take nothing at all; `on_end` is
/// told at the end whether it took none for so long.
pub fn respond(
    relay: Arc<Relay>,
    budget: RequestBudget,
    write_timeout: Duration,
    on_end: impl FnOnce(bool) + Send + 'static,
) -> Response {
    let (events, body) = mpsc::channel(CHANNEL_CAPACITY);
    tokio::spawn(async move {
        let slow = pump(&relay, &events, write_timeout).await;
        on_end(slow);
        drop(events);
        budget.set_deadline(if slow { Duration::ZERO } else { FLUSH_TIMEOUT });
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
async fn pump(relay: &Relay, events: &mpsc::Sender<Bytes>, write_timeout: Duration) -> bool {
    let Some(mut poll_lock) = relay.acquire_poll().await else { return false };
    let mut next = Bytes::from_static(PREAMBLE);
    loop {
        while !next.is_empty() {
            let piece = next.split_to(next.len().min(MAX_PIECE_BYTES));
            match timeout(write_timeout, events.send(piece)).await {
                Ok(Ok(())) => {}
                Ok(Err(_)) => return false,
                Err(_) => return !poll_lock.is_closed(),
            }
        }
        next = tokio::select! {
            outcome = poll_lock.recv() => match outcome {
                PollOutcome::Message(message) => event(&message).into(),
                PollOutcome::Superseded | PollOutcome::Closed => return false,
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
