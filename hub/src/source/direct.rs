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
use crate::telemetry::Seldom;
use crate::transport::refusal::Refusal;
use crate::transport::request::{Gate, LARGEST_BODY, body};

/// How many pushes may be on their way at once.
const MOST: usize = 1024;

/// What the endpoint needs.
#[derive(Clone)]
pub struct Direct {
    gate: Gate,
    /// Where pushes go.
    intake: Intake,
    /// For pushes that are being taken.
    room: Arc<Semaphore>,
    seldom: Arc<Seldom>,
}

impl Direct {
    /// A source in front of an intake.
    pub fn new(gate: Gate, intake: Intake) -> Direct {
        Direct { gate, intake, room: Arc::new(Semaphore::new(MOST)), seldom: Arc::default() }
    }
}

/// The routes of the source.
pub fn routes(direct: Direct) -> Router {
    Router::new().route("/send", post(send)).with_state(direct)
}

/// Proof that a request carries an internal token.
struct Authorized;

impl FromRequestParts<Direct> for Authorized {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, direct: &Direct) -> Result<Authorized, Refusal> {
        let query = Query::parse(parts.uri.query().unwrap_or_default());
        direct.gate.claims(&parts.headers, &query, Policy::Internal).await.map(|_| Authorized)
    }
}

async fn send(_: Authorized, State(direct): State<Direct>, request: Request) -> Result<StatusCode, Refusal> {
    let Ok(_place) = direct.room.try_acquire() else {
        direct.gate.metrics.pushed("rejected", None);
        return Err(Refusal::busy("There are too many pushes on their way."));
    };
    let body = body(request.into_body(), LARGEST_BODY).await?;
    direct.intake.take(&body).await.map_err(|refused| {
        if let Some(unsaid) = direct.seldom.say() {
            tracing::warn!(%refused, unsaid, "a push was refused");
        }
        match refused {
            Refused::Malformed(malformed) => Refusal::explained(400, &malformed.to_string()),
            Refused::Full(_) => Refusal::busy("Too many pushes wait for Redis."),
        }
    })?;
    Ok(StatusCode::OK)
}
