//! Error responses of the reactors and of axum. No I/O.

use std::borrow::Cow;

use axum::body::Body;
use axum::http::{HeaderName, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};

use super::headers::{RETRY_AFTER_SECONDS, response_head};
use crate::auth::Rejection;

/// An error response. A reactor closes the connection after it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ErrorResponse {
    /// The status.
    pub status: u16,
    /// The headers, without those that every response has.
    pub headers: Vec<(&'static str, Cow<'static, str>)>,
    /// The body, which may be empty.
    pub body: Vec<u8>,
}

impl ErrorResponse {
    /// Creates a response with a status and no body.
    pub fn status_only(status: u16) -> ErrorResponse {
        ErrorResponse { status, headers: Vec::new(), body: Vec::new() }
    }

    /// Creates a response with a JSON error.
    pub fn json(status: u16, message: &str) -> ErrorResponse {
        let headers = vec![("content-type", Cow::from("application/json; charset=utf-8"))];
        ErrorResponse { status, headers, body: error_body(message) }
    }

    /// Creates a response with a plain text, as the upstream Bitwarden service sends it.
    pub fn text(status: u16, text: &'static str) -> ErrorResponse {
        ErrorResponse { status, headers: vec![("content-type", "text/plain".into())], body: text.into() }
    }

    /// Returns the response to a request whose connection token was redeemed by another transport.
    pub fn transport_mismatch() -> ErrorResponse {
        ErrorResponse::text(400, "Cannot change transports mid-connection")
    }

    /// Returns the response to a rejected token.
    pub fn unauthorized(rejection: Rejection) -> ErrorResponse {
        match rejection.challenge() {
            Some(challenge) => ErrorResponse::status_only(rejection.status()).with("www-authenticate", challenge),
            None if rejection == Rejection::Unavailable => {
                ErrorResponse::service_unavailable("The identity server's keys are not loaded yet.")
            }
            None => ErrorResponse::status_only(rejection.status()),
        }
    }

    /// Returns a 503 with `Retry-After`.
    pub fn service_unavailable(message: &str) -> ErrorResponse {
        ErrorResponse::json(503, message).with("retry-after", RETRY_AFTER_SECONDS)
    }

    /// Returns a 429 with `Retry-After`.
    pub fn too_many_requests(message: &str) -> ErrorResponse {
        ErrorResponse::json(429, message).with("retry-after", RETRY_AFTER_SECONDS)
    }

    /// Adds a header.
    pub fn with(mut self, name: &'static str, value: impl Into<Cow<'static, str>>) -> ErrorResponse {
        self.headers.push((name, value.into()));
        self
    }

    /// Returns the bytes of the response, for a reactor.
    pub fn bytes(&self) -> Vec<u8> {
        let reason = StatusCode::from_u16(self.status).ok().and_then(|status| status.canonical_reason());
        let status = format!("{} {}", self.status, reason.unwrap_or("Error"));
        let mut bytes = response_head(&status, self.headers.iter().map(|(name, value)| (*name, value.as_ref())));
        let end = format!("Content-Length: {}\r\nConnection: close\r\n\r\n", self.body.len());
        bytes.extend_from_slice(end.as_bytes());
        bytes.extend_from_slice(&self.body);
        bytes
    }
}

/// The response for axum, whose layers add the common headers.
impl IntoResponse for ErrorResponse {
    fn into_response(self) -> Response {
        let mut response = Response::new(Body::from(self.body));
        *response.status_mut() = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        for (name, value) in self.headers {
            if let Ok(value) = HeaderValue::from_str(&value) {
                response.headers_mut().append(HeaderName::from_static(name), value);
            }
        }
        response
    }
}

/// Returns a JSON error in the form of Bitwarden's services. Senders read `message`.
fn error_body(message: &str) -> Vec<u8> {
    serde_json::json!({ "message": message, "validationErrors": null }).to_string().into_bytes()
}
