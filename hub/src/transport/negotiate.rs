//! `POST {hub}/negotiate` (`signalr.md` 1): tells a client how it may connect, and gives it a token to do so.

use std::sync::Arc;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::header::{AUTHORIZATION, CONTENT_TYPE};
use axum::http::{Method, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::any;
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;

use super::negotiations::{Negotiations, random};
use super::plain;
use crate::auth::{Authenticator, Policy, Rejection, bearer};
use crate::delivery::Hub;
use crate::telemetry::Metrics;

/// The newest version of a negotiation.
const NEWEST: i64 = 1;

/// What there is to connect by.
const TRANSPORTS: &str = r#"[{"transport":"WebSockets","transferFormats":["Text","Binary"]}]"#;

/// What negotiating needs.
#[derive(Clone)]
pub struct Negotiate {
    /// Whose tokens are good.
    pub authenticator: Arc<Authenticator>,
    /// What is given out.
    pub negotiations: Arc<Negotiations>,
    /// What is counted.
    pub metrics: Arc<Metrics>,
}

/// The routes of both hubs.
pub fn routes(negotiate: Negotiate) -> Router {
    Router::new()
        .route("/hub/negotiate", any(main))
        .route("/anonymous-hub/negotiate", any(anonymous))
        .with_state(negotiate)
}

async fn main(State(negotiate): State<Negotiate>, request: Request) -> Response {
    let authorization = request.headers().get(AUTHORIZATION).map(|value| value.as_bytes());
    let token = bearer::find(authorization, request.uri().query().unwrap_or_default());
    let claims = match token {
        Some(token) => negotiate.authenticator.authenticate(&token, Policy::Application).await,
        None => Err(Rejection::Missing),
    };
    match claims {
        Ok(_) => negotiate.answer(Hub::Main, &request),
        Err(rejection) => {
            negotiate.metrics.auth_failures.with_label_values(&[rejection.label()]).inc();
            plain::rejected(rejection)
        }
    }
}

async fn anonymous(State(negotiate): State<Negotiate>, request: Request) -> Response {
    negotiate.answer(Hub::Anonymous, &request)
}

impl Negotiate {
    fn answer(&self, hub: Hub, request: &Request) -> Response {
        if request.method() != Method::POST {
            return (StatusCode::METHOD_NOT_ALLOWED, [(CONTENT_TYPE, "text/plain")]).into_response();
        }
        let version = bearer::query_value(request.uri().query().unwrap_or_default(), "negotiateVersion");
        let body = match accepted(version.as_deref()) {
            Ok(version) => self.offer(hub, version),
            Err(error) => serde_json::json!({ "error": error }).to_string(),
        };
        ([(CONTENT_TYPE, "application/json")], body).into_response()
    }

    /// The answer of a version. Up to version 0 there is one id, which then is the token.
    fn offer(&self, hub: Hub, version: i64) -> String {
        let token = self.negotiations.issue(hub);
        let ids = match version {
            0 => format!(r#""connectionId":"{token}""#),
            _ => {
                let id = BASE64_URL_SAFE_NO_PAD.encode(random::<16>());
                format!(r#""connectionId":"{id}","connectionToken":"{token}""#)
            }
        };
        format!(r#"{{"negotiateVersion":{version},{ids},"availableTransports":{TRANSPORTS}}}"#)
    }
}

/// The version that is spoken with a client, or what is wrong with the one that it asks for.
fn accepted(asked: Option<&str>) -> Result<i64, String> {
    let Some(asked) = asked else { return Ok(0) };
    let version: i64 =
        asked.trim().parse().map_err(|_| "The client requested a non-integer protocol version.".to_owned())?;
    if version < 0 {
        return Err(format!("The client requested version '{version}', but the server does not support this version."));
    }
    Ok(version.min(NEWEST))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_clamped_or_refused() {
        assert_eq!(accepted(None), Ok(0));
        assert_eq!((accepted(Some("0")), accepted(Some("1")), accepted(Some("2"))), (Ok(0), Ok(1), Ok(1)));
        for text in ["", "abc", "1.0"] {
            assert_eq!(accepted(Some(text)), Err("The client requested a non-integer protocol version.".to_owned()));
        }
        assert!(accepted(Some("-1")).is_err_and(|error| error.contains("version '-1'")));
    }
}
