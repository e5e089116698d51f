//! Long polling (`signalr.md` 2.5): each request waits for something that the hub says, or for its time.

use std::time::Duration;

use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use tokio::time::timeout;

use super::relay::{PollOutcome, Relay};

/// How many bytes one answer carries, give or take a message; what is more comes with the next.
const MAX_RESPONSE_BYTES: usize = 64 * 1024;

/// The answer to a client's first poll, which comes at once: it is connected.
pub fn begin() -> Response {
    messages(Vec::new())
}

/// Waits for what the hub says, so long at the most. Nothing if the hub has ended the connection.
pub async fn poll(relay: &Relay, poll_timeout: Duration) -> Option<Response> {
    let Some(mut poll_lock) = relay.acquire_poll().await else { return Some(no_content()) };
    match timeout(poll_timeout, poll_lock.recv()).await {
        Ok(PollOutcome::Message(first)) => {
            let mut said = Vec::from(first);
            while said.len() < MAX_RESPONSE_BYTES
                && let Some(more) = poll_lock.try_recv()
            {
                said.extend_from_slice(&more);
            }
            Some(messages(said))
        }
        Ok(PollOutcome::Superseded) => Some(no_content()),
        Ok(PollOutcome::Closed) => None,
        Err(_) => Some((StatusCode::OK, [(CONTENT_TYPE, "text/plain")]).into_response()),
    }
}

/// The answer to a poll that has nothing to wait for.
pub fn no_content() -> Response {
    (StatusCode::NO_CONTENT, [(CONTENT_TYPE, "text/plain")]).into_response()
}

fn messages(said: Vec<u8>) -> Response {
    ([(CONTENT_TYPE, "application/octet-stream")], said).into_response()
}
