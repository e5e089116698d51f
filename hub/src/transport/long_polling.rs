//! Long polling (`signalr.md` 2.5): each request waits for something that the hub says, or for its time.

use std::time::Duration;

use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use tokio::time::timeout;

use super::relay::{Heard, Relay};

/// How many bytes one answer carries, give or take a message; what is more comes with the next.
const AT_ONCE: usize = 64 * 1024;

/// The answer to a client's first poll, which comes at once: it is connected.
pub fn begin() -> Response {
    messages(Vec::new())
}

/// Waits for what the hub says, so long at the most. Nothing if the hub has ended the connection.
pub async fn poll(relay: &Relay, patience: Duration) -> Option<Response> {
    let Some(mut turn) = relay.turn().await else { return Some(no_content()) };
    match timeout(patience, turn.hear()).await {
        Ok(Heard::Message(first)) => {
            let mut said = Vec::from(first);
            while said.len() < AT_ONCE
                && let Some(more) = turn.more()
            {
                said.extend_from_slice(&more);
            }
            Some(messages(said))
        }
        Ok(Heard::Interrupted) => Some(no_content()),
        Ok(Heard::Over) => None,
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
