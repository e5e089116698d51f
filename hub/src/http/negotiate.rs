//! Negotiation, `POST {hub}/negotiate` (`signalr.md` 1): returns the transports and issues a connection token.

use std::sync::Arc;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::Method;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use axum::routing::any;
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;

use super::auth_guard::AuthGuard;
use super::connection_token_registry::{ConnectionTokenRegistry, NoRandomness, random_bytes};
use super::error_response::ErrorResponse;
use crate::auth::{Policy, Query};
use crate::signalr::Hub;
use crate::signalr::Transport;

/// The newest supported version of the negotiation.
const MAX_VERSION: i32 = 1;

/// The state that the routes share.
#[derive(Clone)]
pub struct NegotiateEndpoint {
    /// Authenticates clients of the main hub.
    pub auth_guard: AuthGuard,
    /// Issues the connection tokens.
    pub connection_tokens: Arc<ConnectionTokenRegistry>,
}

/// Returns the routes of both hubs.
pub fn routes(endpoint: NegotiateEndpoint) -> Router {
    Router::new()
        .route("/hub/negotiate", any(main_hub))
        .route("/anonymous-hub/negotiate", any(anonymous_hub))
        .with_state(endpoint)
}

async fn main_hub(State(endpoint): State<NegotiateEndpoint>, request: Request) -> Result<Response, ErrorResponse> {
    let query = Query::parse(request.uri().query().unwrap_or_default());
    endpoint.auth_guard.claims(request.headers(), &query, Policy::Application).await?;
    endpoint.respond(Hub::Main, &request)
}

async fn anonymous_hub(State(endpoint): State<NegotiateEndpoint>, request: Request) -> Result<Response, ErrorResponse> {
    endpoint.respond(Hub::Anonymous, &request)
}

impl NegotiateEndpoint {
    fn respond(&self, hub: Hub, request: &Request) -> Result<Response, ErrorResponse> {
        if request.method() != Method::POST {
            return Err(ErrorResponse::text(405, ""));
        }
        let version = Query::parse(request.uri().query().unwrap_or_default()).joined("negotiateVersion");
        let failed = |_: NoRandomness| ErrorResponse::status_only(500);
        let id = BASE64_URL_SAFE_NO_PAD.encode(random_bytes::<16>().map_err(failed)?);
        let body = response_body(version.as_deref(), &id, &self.connection_tokens.issue(hub).map_err(failed)?);
        Ok(([(CONTENT_TYPE, "application/json")], body).into_response())
    }
}

/// Returns the body of a negotiation's response. `requested` is the version that the client requests. In version 0 the connection
/// id is the token.
pub fn response_body(requested: Option<&str>, id: &str, token: &str) -> String {
    let version = match negotiated_version(requested) {
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

/// Returns the version to use, which is 0 if the client requests none.
///
/// # Errors
/// Returns the error message for the client if the requested version is invalid.
fn negotiated_version(requested: Option<&str>) -> Result<i32, String> {
    let Some(requested) = requested else { return Ok(0) };
    let version: i32 =
        requested.trim().parse().map_err(|_| "The client requested a non-integer protocol version.".to_owned())?;
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
        assert_eq!(negotiated_version(None), Ok(0));
        assert_eq!(
            (negotiated_version(Some("0")), negotiated_version(Some("1")), negotiated_version(Some("2"))),
            (Ok(0), Ok(1), Ok(1))
        );
        for text in ["", "abc", "1.0", "2147483648", "1,0"] {
            assert_eq!(
                negotiated_version(Some(text)),
                Err("The client requested a non-integer protocol version.".to_owned())
            );
        }
        assert!(negotiated_version(Some("-1")).is_err_and(|error| error.contains("version '-1'")));
    }
}
