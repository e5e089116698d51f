//! The direct source: `POST /send` with an internal token (`bitwarden.md` 2.5, `decisions.md` 2).

use std::sync::Arc;

use axum::Router;
use axum::extract::{FromRequestParts, Request, State};
use axum::http::StatusCode;
use axum::http::request::Parts;
use axum::routing::post;
use tokio::sync::Semaphore;

use super::{Intake, Refused};
use crate::auth::{Policy, Query};
use crate::telemetry::LogLimiter;
use crate::transport::error_response::ErrorResponse;
use crate::transport::request::{AuthGuard, MAX_BODY_BYTES, body};

/// How many pushes may be on their way at once.
const MOST: usize = 1024;

/// What the endpoint needs.
#[derive(Clone)]
pub struct Direct {
    auth_guard: AuthGuard,
    /// Where pushes go.
    intake: Intake,
    /// For pushes that are being taken.
    room: Arc<Semaphore>,
    log_limiter: Arc<LogLimiter>,
}

impl Direct {
    /// A source in front of an intake.
    pub fn new(auth_guard: AuthGuard, intake: Intake) -> Direct {
        Direct { auth_guard, intake, room: Arc::new(Semaphore::new(MOST)), log_limiter: Arc::default() }
    }
}

/// The routes of the source.
pub fn routes(direct: Direct) -> Router {
    Router::new().route("/send", post(send)).with_state(direct)
}

/// Proof that a request carries an internal token.
struct Authorized;

impl FromRequestParts<Direct> for Authorized {
    type Rejection = ErrorResponse;

    async fn from_request_parts(parts: &mut Parts, direct: &Direct) -> Result<Authorized, ErrorResponse> {
        let query = Query::parse(parts.uri.query().unwrap_or_default());
        direct.auth_guard.claims(&parts.headers, &query, Policy::Internal).await.map(|_| Authorized)
    }
}

async fn send(_: Authorized, State(direct): State<Direct>, request: Request) -> Result<StatusCode, ErrorResponse> {
    let Ok(_place) = direct.room.try_acquire() else {
        direct.auth_guard.metrics.pushed("rejected", None);
        return Err(ErrorResponse::service_unavailable("There are too many pushes on their way."));
    };
    let body = body(request.into_body(), MAX_BODY_BYTES).await?;
    direct.intake.take(&body).await.map_err(|refused| {
        if let Some(unsaid) = direct.log_limiter.allow() {
            tracing::warn!(%refused, unsaid, "a push was refused");
        }
        match refused {
            Refused::Malformed(malformed) => ErrorResponse::json(400, &malformed.to_string()),
            Refused::BufferFull(_) => ErrorResponse::service_unavailable("Too many pushes wait for Redis."),
        }
    })?;
    Ok(StatusCode::OK)
}
