//! The direct source: `POST /send` with an internal token (`bitwarden.md` 2.5, `decisions.md` 2).

use std::sync::Arc;

use axum::Router;
use axum::extract::{FromRequestParts, Request, State};
use axum::http::StatusCode;
use axum::http::request::Parts;
use axum::routing::post;
use tokio::sync::Semaphore;

use super::{IngestError, PushPipeline};
use crate::auth::{Policy, Query};
use crate::http::auth_guard::AuthGuard;
use crate::http::error_response::ErrorResponse;
use crate::http::request_body::{MAX_BODY_BYTES, read_body};
use crate::observability::LogLimiter;

/// Maximum number of concurrent requests to `/send`.
const MAX_CONCURRENT_PUSHES: usize = 1024;

/// The state of the endpoint.
#[derive(Clone)]
pub struct SendEndpoint {
    auth_guard: AuthGuard,
    pipeline: PushPipeline,
    /// The permits of concurrent requests.
    permits: Arc<Semaphore>,
    log_limiter: Arc<LogLimiter>,
}

impl SendEndpoint {
    /// Creates an endpoint that sends pushes to `pipeline`.
    pub fn new(auth_guard: AuthGuard, pipeline: PushPipeline) -> SendEndpoint {
        SendEndpoint {
            auth_guard,
            pipeline,
            permits: Arc::new(Semaphore::new(MAX_CONCURRENT_PUSHES)),
            log_limiter: Arc::default(),
        }
    }
}

/// Returns the routes of the endpoint.
pub fn routes(endpoint: SendEndpoint) -> Router {
    Router::new().route("/send", post(send)).with_state(endpoint)
}

/// Proof that a request has a valid internal token.
struct InternalAuth;

impl FromRequestParts<SendEndpoint> for InternalAuth {
    type Rejection = ErrorResponse;

    async fn from_request_parts(parts: &mut Parts, endpoint: &SendEndpoint) -> Result<InternalAuth, ErrorResponse> {
        let query = Query::parse(parts.uri.query().unwrap_or_default());
        endpoint.auth_guard.claims(&parts.headers, &query, Policy::Internal).await.map(|_| InternalAuth)
    }
}

/// Handles `POST /send`: answers 200 after the handover, 400 to a malformed push, and 503 if there is no room.
async fn send(
    _: InternalAuth,
    State(endpoint): State<SendEndpoint>,
    request: Request,
) -> Result<StatusCode, ErrorResponse> {
    let Ok(_permit) = endpoint.permits.try_acquire() else {
        endpoint.auth_guard.metrics.pushed("rejected", None);
        return Err(ErrorResponse::service_unavailable("Too many pushes are in progress."));
    };
    let body = read_body(request.into_body(), MAX_BODY_BYTES).await?;
    endpoint.pipeline.ingest(&body).await.map_err(|error| {
        if let Some(suppressed) = endpoint.log_limiter.allow() {
            tracing::warn!(%error, suppressed, "push rejected");
        }
        match error {
            IngestError::Malformed(malformed) => ErrorResponse::json(400, &malformed.to_string()),
            IngestError::BufferFull(_) => ErrorResponse::service_unavailable("Too many pushes wait for Redis."),
        }
    })?;
    Ok(StatusCode::OK)
}
