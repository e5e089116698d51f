//! Reads the bodies of requests that axum serves, within limits of length and time.

use std::time::Duration;

use axum::body::{Body, Bytes};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use tokio::time::{Instant, timeout_at};

use super::error_response::ErrorResponse;

/// The timeout of receiving a body.
const BODY_TIMEOUT: Duration = Duration::from_secs(10);

/// The largest body of a push, in bytes.
pub const MAX_BODY_BYTES: usize = 1024 * 1024;

/// The body of a request in chunks, with a limit of its length and of its time.
pub struct BodyChunks {
    body: Limited<Body>,
    max_bytes: usize,
    deadline: Instant,
}

impl BodyChunks {
    /// Limits a body to `max_bytes` bytes and to 10 seconds from now.
    pub fn new(body: Body, max_bytes: usize) -> BodyChunks {
        BodyChunks { body: Limited::new(body, max_bytes), max_bytes, deadline: Instant::now() + BODY_TIMEOUT }
    }

    /// Returns the next chunk, or `None` at the end.
    ///
    /// # Errors
    /// Returns the response to a body that is too large, late or incomplete.
    pub async fn next(&mut self) -> Result<Option<Bytes>, ErrorResponse> {
        loop {
            let frame = timeout_at(self.deadline, self.body.frame()).await;
            let Ok(frame) = frame else { return Err(ErrorResponse::json(408, "The body was not received in time.")) };
            match frame {
                None => return Ok(None),
                Some(Ok(frame)) => {
                    // Trailers are ignored.
                    if let Ok(chunk) = frame.into_data() {
                        return Ok(Some(chunk));
                    }
                }
                Some(Err(cause)) if cause.is::<LengthLimitError>() => {
                    let max_bytes = self.max_bytes;
                    return Err(ErrorResponse::json(413, &format!("The body has more than {max_bytes} bytes.")));
                }
                Some(Err(_)) => return Err(ErrorResponse::json(400, "The body ended early.")),
            }
        }
    }
}

/// Reads the whole body of a request, of at most `max_bytes` bytes.
///
/// # Errors
/// Returns the response to a body that is too large, late or incomplete.
pub async fn read_body(body: Body, max_bytes: usize) -> Result<Vec<u8>, ErrorResponse> {
    let (mut chunks, mut whole) = (BodyChunks::new(body, max_bytes), Vec::new());
    while let Some(chunk) = chunks.next().await? {
        whole.extend_from_slice(&chunk);
    }
    Ok(whole)
}
