//! Long polling (`signalr.md` 2.5): each poll waits for messages of the hub, until its timeout.

use std::time::Duration;

use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use tokio::time::timeout;

use super::relay::{PollOutcome, Relay};

/// The size from which no further message is added to a response, in bytes. Further messages go into the next response.
const MAX_RESPONSE_BYTES: usize = 64 * 1024;

/// Returns the empty response to a client's first poll. It tells the client that it is connected.
pub fn first_response() -> Response {
    messages(Vec::new())
}

/// Waits for messages for at most `poll_timeout`. Returns `None` if the hub has closed the connection.
pub async fn poll(relay: &Relay, poll_timeout: Duration) -> Option<Response> {
    let Some(mut poll_lock) = relay.acquire_poll().await else { return Some(no_content()) };
    match timeout(poll_timeout, poll_lock.recv()).await {
        Ok(PollOutcome::Message(first)) => {
            let mut bytes = Vec::from(first);
            while bytes.len() < MAX_RESPONSE_BYTES
                && let Some(message) = poll_lock.try_recv()
            {
                bytes.extend_from_slice(&message);
            }
            Some(messages(bytes))
        }
        Ok(PollOutcome::Superseded) => Some(no_content()),
        Ok(PollOutcome::Closed) => None,
        Err(_) => Some((StatusCode::OK, [(CONTENT_TYPE, "text/plain")]).into_response()),
    }
}

/// Returns the response to a poll that is superseded, or whose connection is closed.
pub fn no_content() -> Response {
    (StatusCode::NO_CONTENT, [(CONTENT_TYPE, "text/plain")]).into_response()
}

fn messages(bytes: Vec<u8>) -> Response {
    ([(CONTENT_TYPE, "application/octet-stream")], bytes).into_response()
}
