//! What every endpoint that axum serves asks of a request: its token, its body.

use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::http::HeaderMap;
use axum::http::header::AUTHORIZATION;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use tokio::time::{Instant, timeout_at};

use super::refusal::Refusal;
use crate::auth::{Authenticator, Claims, Policy, Query, Rejection, bearer};
use crate::telemetry::Metrics;

/// How long a body may take.
const DEADLINE: Duration = Duration::from_secs(10);

/// The largest body of a push, in bytes.
pub const LARGEST_BODY: usize = 1024 * 1024;

/// Who takes tokens, and counts those that are not good.
#[derive(Clone)]
pub struct Gate {
    /// Whose tokens are good.
    pub authenticator: Arc<Authenticator>,
    /// What is counted.
    pub metrics: Arc<Metrics>,
}

impl Gate {
    /// What a request's token says.
    ///
    /// # Errors
    /// The answer to a request whose token is missing or not good.
    pub async fn claims(&self, headers: &HeaderMap, query: &Query<'_>, policy: Policy) -> Result<Arc<Claims>, Refusal> {
        let authorization = headers.get(AUTHORIZATION).map(|value| value.as_bytes());
        let claims = match bearer::find(authorization, query) {
            Some(token) => self.authenticator.authenticate(&token, policy).await,
            None => Err(Rejection::Missing),
        };
        claims.map_err(|rejection| {
            self.metrics.auth_failures.inc(rejection.label());
            Refusal::rejected(rejection)
        })
    }
}

/// The body of a request as it comes, of so many bytes at the most and within its time.
pub struct Pieces {
    body: Limited<Body>,
    largest: usize,
    deadline: Instant,
}

impl Pieces {
    /// The body, of `largest` bytes at the most.
    pub fn new(body: Body, largest: usize) -> Pieces {
        Pieces { body: Limited::new(body, largest), largest, deadline: Instant::now() + DEADLINE }
    }

    /// Returns the next piece, or `None` at the end.
    ///
    /// # Errors
    /// The answer to a body that is too large, does not come in time or ends early.
    pub async fn next(&mut self) -> Result<Option<Bytes>, Refusal> {
        loop {
            let frame = timeout_at(self.deadline, self.body.frame()).await;
            let Ok(frame) = frame else { return Err(Refusal::explained(408, "The body did not come in time.")) };
            match frame {
                None => return Ok(None),
                Some(Ok(frame)) => {
                    // Trailers say nothing.
                    if let Ok(piece) = frame.into_data() {
                        return Ok(Some(piece));
                    }
                }
                Some(Err(cause)) if cause.is::<LengthLimitError>() => {
                    let largest = self.largest;
                    return Err(Refusal::explained(413, &format!("A body has at most {largest} bytes.")));
                }
                Some(Err(_)) => return Err(Refusal::explained(400, "The body ended early.")),
            }
        }
    }
}

/// Returns the whole body of a request, of `largest` bytes at the most.
///
/// # Errors
/// The answer to one that is too large, does not come in time or ends early.
pub async fn body(body: Body, largest: usize) -> Result<Vec<u8>, Refusal> {
    let (mut pieces, mut whole) = (Pieces::new(body, largest), Vec::new());
    while let Some(piece) = pieces.next().await? {
        whole.extend_from_slice(&piece);
    }
    Ok(whole)
}
