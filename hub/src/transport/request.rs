//! What every endpoint that axum serves asks of a request: its token, its body.

use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::http::HeaderMap;
use axum::http::header::AUTHORIZATION;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use tokio::time::timeout;

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

/// The whole body of a request, of `largest` bytes at the most.
///
/// # Errors
/// The answer to one that is too large, does not come in time or ends early.
pub async fn body(body: Body, largest: usize) -> Result<Bytes, Refusal> {
    let body = timeout(DEADLINE, Limited::new(body, largest).collect()).await;
    let Ok(body) = body else { return Err(Refusal::explained(408, "The body did not come in time.")) };
    match body {
        Ok(body) => Ok(body.to_bytes()),
        Err(cause) if cause.is::<LengthLimitError>() => {
            Err(Refusal::explained(413, &format!("A body has at most {largest} bytes.")))
        }
        Err(_) => Err(Refusal::explained(400, "The body ended early.")),
    }
}
