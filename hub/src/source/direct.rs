//! The direct source: `POST /send` with an internal token (`bitwarden.md` 2.5, `decisions.md` 2).

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{FromRequestParts, Request, State};
use axum::http::header::AUTHORIZATION;
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use http_body_util::{BodyExt, LengthLimitError, Limited};

use tokio::sync::Semaphore;
use tokio::time::timeout;

use super::Intake;
use crate::auth::{Authenticator, Policy, Rejection, bearer};
use crate::telemetry::{Metrics, Seldom};
use crate::transport::plain::{busy, error, rejected};

/// How many pushes may be on their way at once.
const MOST: usize = 1024;

/// How long a body may take.
const DEADLINE: Duration = Duration::from_secs(10);

/// The largest body, in bytes.
const LARGEST_BODY: usize = 1024 * 1024;

/// What the endpoint needs.
#[derive(Clone)]
pub struct Direct {
    /// Whose tokens are good.
    authenticator: Arc<Authenticator>,
    /// Where pushes go.
    intake: Intake,
    /// What is counted.
    metrics: Arc<Metrics>,
    /// For pushes that are being taken.
    room: Arc<Semaphore>,
    seldom: Arc<Seldom>,
}

impl Direct {
    /// A source in front of an intake.
    pub fn new(authenticator: Arc<Authenticator>, intake: Intake, metrics: Arc<Metrics>) -> Direct {
        Direct { authenticator, intake, metrics, room: Arc::new(Semaphore::new(MOST)), seldom: Arc::default() }
    }
}

/// The routes of the source.
pub fn routes(direct: Direct) -> Router {
    Router::new().route("/send", post(send)).with_state(direct)
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
                Err(rejected(rejection))
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

async fn send(_: Authorized, State(direct): State<Direct>, request: Request) -> Response {
    let Ok(_place) = direct.room.try_acquire() else {
        direct.metrics.pushed("rejected", None);
        return busy("There are too many pushes on their way.");
    };
    let body = match collect(request.into_body()).await {
        Ok(body) => body,
        Err(response) => return response,
    };
    match direct.intake.take(&body).await {
        Ok(()) => StatusCode::OK.into_response(),
        Err(malformed) => {
            if let Some(unsaid) = direct.seldom.say() {
                tracing::warn!(%malformed, unsaid, "a push was refused");
            }
            error(StatusCode::BAD_REQUEST, &malformed.to_string())
        }
    }
}

async fn collect(body: Body) -> Result<Bytes, Response> {
    let body = timeout(DEADLINE, Limited::new(body, LARGEST_BODY).collect()).await;
    let Ok(body) = body else { return Err(error(StatusCode::REQUEST_TIMEOUT, "The body did not come in time.")) };
    match body {
        Ok(body) => Ok(body.to_bytes()),
        Err(cause) if cause.is::<LengthLimitError>() => {
            let message = format!("A push has at most {LARGEST_BODY} bytes.");
            Err(error(StatusCode::PAYLOAD_TOO_LARGE, &message))
        }
        Err(_) => Err(error(StatusCode::BAD_REQUEST, "The body ended early.")),
    }
}
