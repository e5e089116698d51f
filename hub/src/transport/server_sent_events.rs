//! Server-Sent Events (`signalr.md` 2.4): one answer that does not end, a message an event.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::http::header::{CACHE_CONTROL, CONTENT_ENCODING, CONTENT_TYPE, PRAGMA};
use axum::response::{IntoResponse, Response};
use futures_util::stream;
use tokio::sync::mpsc;
use tokio::time::timeout;

use super::lease::Lease;
use super::relay::{Heard, Relay};

/// What every answer begins with, so that the client knows that it is connected.
pub const FIRST: &[u8] = b":\r\n";

/// How many events wait between the hub and the client's socket; more of them wait in the reactor, within its limits.
const WAITING: usize = 4;

/// How long the last events may take once the hub has ended the connection.
const LAST_EVENTS: Duration = Duration::from_secs(5);

/// Answers with what the hub says, until it or the client ends. `slow`: how long a client may take no event at all; `over` is
/// called at the end.
pub fn answer(relay: Arc<Relay>, lease: Lease, slow: Duration, over: impl FnOnce() + Send + 'static) -> Response {
    let (events, body) = mpsc::channel(WAITING);
    tokio::spawn(async move {
        pass_on(&relay, &events, slow).await;
        over();
        drop(events);
        lease.end_within(LAST_EVENTS);
    });
    let body = stream::unfold(body, async |mut body| body.recv().await.map(|event| (Ok::<_, Infallible>(event), body)));
    let headers = [
        (CONTENT_TYPE, "text/event-stream"),
        (CACHE_CONTROL, "no-cache,no-store"),
        (PRAGMA, "no-cache"),
        (CONTENT_ENCODING, "identity"),
    ];
    (headers, Body::from_stream(body)).into_response()
}

async fn pass_on(relay: &Relay, events: &mpsc::Sender<Bytes>, slow: Duration) {
    let Some(mut turn) = relay.turn().await else { return };
    let mut next = Bytes::from_static(FIRST);
    while let Ok(Ok(())) = timeout(slow, events.send(next)).await {
        next = tokio::select! {
            heard = turn.hear() => match heard {
                Heard::Message(message) => event(&message).into(),
                Heard::Interrupted | Heard::Over => return,
            },
            () = events.closed() => return,
        };
    }
}

/// One event: a line of data for each line of the payload.
pub fn event(payload: &[u8]) -> Vec<u8> {
    let mut event = Vec::with_capacity(payload.len() + 16);
    if !payload.is_empty() {
        for line in payload.split(|&byte| byte == b'\n') {
            event.extend_from_slice(b"data: ");
            event.extend_from_slice(line.strip_suffix(b"\r").unwrap_or(line));
            event.extend_from_slice(b"\r\n");
        }
    }
    event.extend_from_slice(b"\r\n");
    event
}
