//! `POST {hub}/negotiate` (`signalr.md` 1): tells a client how it may connect, and gives it a token to do so.

use std::sync::Arc;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::Method;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use axum::routing::any;
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;

use super::connection_token_registry::{ConnectionTokenRegistry, NoRandomness, random};
use super::error_response::ErrorResponse;
use super::request::AuthGuard;
use crate::auth::{Policy, Query};
use crate::signalr::Hub;
use crate::signalr::Transport;

/// The newest version of a negotiation.
const MAX_VERSION: i32 = 1;

/// What negotiating needs.
#[derive(Clone)]
pub struct Negotiate {
    /// Who may.
    pub auth_guard: AuthGuard,
    /// What is given out.
    pub connection_tokens: Arc<ConnectionTokenRegistry>,
}

/// The routes of both hubs.
pub fn routes(negotiate: Negotiate) -> Router {
    Router::new()
        .route("/hub/negotiate", any(main))
        .route("/anonymous-hub/negotiate", any(anonymous))
        .with_state(negotiate)
}

async fn main(State(negotiate): State<Negotiate>, request: Request) -> Result<Response, ErrorResponse> {
    let query = Query::parse(request.uri().query().unwrap_or_default());
    negotiate.auth_guard.claims(request.headers(), &query, Policy::Application).await?;
    negotiate.answer(Hub::Main, &request)
}

async fn anonymous(State(negotiate): State<Negotiate>, request: Request) -> Result<Response, ErrorResponse> {
    negotiate.answer(Hub::Anonymous, &request)
}

impl Negotiate {
    fn answer(&self, hub: Hub, request: &Request) -> Result<Response, ErrorResponse> {
        if request.method() != Method::POST {
            return Err(ErrorResponse::text(405, ""));
        }
        let version = Query::parse(request.uri().query().unwrap_or_default()).joined("negotiateVersion");
        let failed = |_: NoRandomness| ErrorResponse::status_only(500);
        let id = BASE64_URL_SAFE_NO_PAD.encode(random::<16>().map_err(failed)?);
        let body = body(version.as_deref(), &id, &self.connection_tokens.issue(hub).map_err(failed)?);
        Ok(([(CONTENT_TYPE, "application/json")], body).into_response())
    }
}

/// The answer to a client that asks for a version, or for none. In version 0 there is one id, which then is the token.
pub fn body(asked: Option<&str>, id: &str, token: &str) -> String {
    let version = match accepted(asked) {
        Ok(version) => version,
        Err(error) => return serde_json::json!({ "error": error }).to_string(),
    };
    let ids = match version {
        0 => format!(r#""connectionId":"{token}""#),
        _ => format!(r#""connectionId":"{id}","connectionToken":"{token}""#),
    };
    let transports = Transport::VARIANTS.map(|transport| {
        let formats = if transport.is_binary() { r#""Text","Binary""# } else { r#""Text""# };
        format!(r#"{{"transport":"{}","transferFormats":[{formats}]}}"#, transport.name())
    });
    format!(r#"{{"negotiateVersion":{version},{ids},"availableTransports":[{}]}}"#, transports.join(","))
}

/// The version that is spoken with a client, or what is wrong with the one that it asks for.
fn accepted(asked: Option<&str>) -> Result<i32, String> {
    let Some(asked) = asked else { return Ok(0) };
    let version: i32 =
        asked.trim().parse().map_err(|_| "The client requested a non-integer protocol version.".to_owned())?;
    if version < 0 {
        return Err(format!("The client requested version '{version}', but the server does not support this version."));
    }
    Ok(version.min(MAX_VERSION))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn negotiate_version_is_clamped_or_rejected() {
        assert_eq!(accepted(None), Ok(0));
        assert_eq!((accepted(Some("0")), accepted(Some("1")), accepted(Some("2"))), (Ok(0), Ok(1), Ok(1)));
        for text in ["", "abc", "1.0", "2147483648", "1,0"] {
            assert_eq!(accepted(Some(text)), Err("The client requested a non-integer protocol version.".to_owned()));
        }
        assert!(accepted(Some("-1")).is_err_and(|error| error.contains("version '-1'")));
    }
}
