//! Server-Sent Events (`signalr.md` 2.4): one streaming response, with one event for each message.

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

/// The first bytes of each response, which tell the client that it is connected.
pub const PREAMBLE: &[u8] = b":\r\n";

/// The most chunks between the relay and the client's socket. Further messages are queued in the reactor, within its limits.
const CHANNEL_CAPACITY: usize = 4;

/// The size of a chunk, in bytes. Each chunk has its own write timeout, so that a large event does not make a client too slow.
const MAX_CHUNK_BYTES: usize = 16 * 1024;

/// The timeout of writing the last events after the hub has closed the connection.
const FLUSH_TIMEOUT: Duration = Duration::from_secs(5);

/// Streams messages until the hub or the client closes the connection.
///
/// `write_timeout` is the longest time without progress in writing. `on_end` is called with `true` if it has passed.
pub fn respond(
    relay: Arc<Relay>,
    budget: RequestBudget,
    write_timeout: Duration,
    on_end: impl FnOnce(bool) + Send + 'static,
) -> Response {
    let (events, body) = mpsc::channel(CHANNEL_CAPACITY);
    tokio::spawn(async move {
        let is_slow = pump(&relay, &events, write_timeout).await;
        on_end(is_slow);
        drop(events);
        budget.set_deadline(if is_slow { Duration::ZERO } else { FLUSH_TIMEOUT });
    });
    let body = stream::unfold(body, async |mut body| body.recv().await.map(|event| (Ok::<_, Infallible>(event), body)));
    let headers = [
        (CONTENT_TYPE, "text/event-stream"),
        (CACHE_CONTROL, "no-cache,no-store"),
        (PRAGMA, "no-cache"),
        (CONTENT_ENCODING, "identity"),
        // The connection ends with the stream, so that the client notices its end.
        (CONNECTION, "close"),
    ];
    (headers, Body::from_stream(body)).into_response()
}

/// Forwards messages to the response. Returns `true` if the client was too slow and the reactor has not closed the connection.
async fn pump(relay: &Relay, events: &mpsc::Sender<Bytes>, write_timeout: Duration) -> bool {
    let Some(mut poll_lock) = relay.acquire_poll().await else { return false };
    let mut next = Bytes::from_static(PREAMBLE);
    loop {
        while !next.is_empty() {
            let chunk = next.split_to(next.len().min(MAX_CHUNK_BYTES));
            match timeout(write_timeout, events.send(chunk)).await {
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

/// Encodes one event, with a `data` line for each line of the payload. A single carriage return ends a line, too.
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
