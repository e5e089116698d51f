//! The direct source: `POST /send` with an internal token (`bitwarden.md` 2.5, `decisions.md` 2).

use std::sync::Arc;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{FromRequestParts, Request, State};
use axum::http::header::{AUTHORIZATION, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use http_body_util::{BodyExt, LengthLimitError, Limited};

use super::Intake;
use crate::auth::{Authenticator, Policy, Rejection, bearer};
use crate::telemetry::Metrics;
use crate::transport::headers::{self, error_body};
use crate::transport::plain::dressed;

/// The largest body, in bytes.
const LARGEST_BODY: usize = 1024 * 1024;

/// What the endpoint needs.
#[derive(Clone)]
pub struct Direct {
    /// Whose tokens are good.
    pub authenticator: Arc<Authenticator>,
    /// Where pushes go.
    pub intake: Intake,
    /// What is counted.
    pub metrics: Arc<Metrics>,
}

/// The routes of the internal port.
pub fn router(direct: Direct) -> Router {
    dressed(Router::new().route("/send", post(send)).with_state(direct))
}

/// Proof that a request carries an internal token.
struct Authorized;

impl FromRequestParts<Direct> for Authorized {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, direct: &Direct) -> Result<Authorized, Response> {
        match direct.authorize(&parts.headers, parts.uri.query().unwrap_or_default()).await {
            Ok(()) => Ok(Authorized),
            Err(rejection) => {
                direct.metrics.auth_failures.with_label_values(&[rejection.label()]).inc();
                Err(refusal(rejection))
            }
        }
    }
}

impl Direct {
    async fn authorize(&self, headers: &HeaderMap, query: &str) -> Result<(), Rejection> {
        let authorization = headers.get(AUTHORIZATION).map(|value| value.as_bytes());
        let token = bearer::find(authorization, query).ok_or(Rejection::Missing)?;
        self.authenticator.authenticate(&token, Policy::Internal).await.map(|_| ())
    }
}

fn refusal(rejection: Rejection) -> Response {
    let status = StatusCode::from_u16(rejection.status()).unwrap_or(StatusCode::UNAUTHORIZED);
    match rejection.challenge() {
        Some(challenge) => (status, [(WWW_AUTHENTICATE, challenge)]).into_response(),
        None if rejection == Rejection::Unavailable => {
            let error = error(status, "The identity server's keys are not loaded yet.");
            ([(RETRY_AFTER, headers::RETRY_AFTER)], error).into_response()
        }
        None => status.into_response(),
    }
}

async fn send(_: Authorized, State(direct): State<Direct>, request: Request) -> Response {
    let body = match collect(request.into_body()).await {
        Ok(body) => body,
        Err(response) => return response,
    };
    match direct.intake.take(&body).await {
        Ok(()) => StatusCode::OK.into_response(),
        Err(malformed) => {
            tracing::warn!(%malformed, "a push was refused");
            error(StatusCode::BAD_REQUEST, &malformed.to_string())
        }
    }
}

async fn collect(body: Body) -> Result<Bytes, Response> {
    match Limited::new(body, LARGEST_BODY).collect().await {
        Ok(body) => Ok(body.to_bytes()),
        Err(cause) if cause.is::<LengthLimitError>() => {
            let message = format!("A push has at most {LARGEST_BODY} bytes.");
            Err(error(StatusCode::PAYLOAD_TOO_LARGE, &message))
        }
        Err(_) => Err(error(StatusCode::BAD_REQUEST, "The body ended early.")),
    }
}

fn error(status: StatusCode, message: &str) -> Response {
    (status, [(CONTENT_TYPE, "application/json; charset=utf-8")], error_body(message)).into_response()
}
