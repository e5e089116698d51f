//! Error responses, written by reactors and by axum alike.

use std::borrow::Cow;

use axum::body::Body;
use axum::http::{HeaderName, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};

use super::headers::{RETRY_AFTER, response_head};
use crate::auth::Rejection;

/// An error response. A reactor closes the connection behind it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ErrorResponse {
    /// The status.
    pub status: u16,
    /// Headers beside those that every answer has.
    pub headers: Vec<(&'static str, Cow<'static, str>)>,
    /// The body: a JSON error, or nothing.
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

    /// Creates a response with a text, as the upstream Bitwarden service words it.
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
        ErrorResponse::json(503, message).with("retry-after", RETRY_AFTER)
    }

    /// Returns a 429 with `Retry-After`.
    pub fn too_many_requests(message: &str) -> ErrorResponse {
        ErrorResponse::json(429, message).with("retry-after", RETRY_AFTER)
    }

    /// Adds a header.
    pub fn with(mut self, name: &'static str, value: impl Into<Cow<'static, str>>) -> ErrorResponse {
        self.headers.push((name, value.into()));
        self
    }

    /// Returns the bytes of the response.
    pub fn bytes(&self) -> Vec<u8> {
        let reason = StatusCode::from_u16(self.status).ok().and_then(|status| status.canonical_reason());
        let status = format!("{} {}", self.status, reason.unwrap_or("Error"));
        let mut answer = response_head(&status, self.headers.iter().map(|(name, value)| (*name, value.as_ref())));
        let end = format!("Content-Length: {}\r\nConnection: close\r\n\r\n", self.body.len());
        answer.extend_from_slice(end.as_bytes());
        answer.extend_from_slice(&self.body);
        answer
    }
}

/// The answer as axum sends it, which adds what every answer has.
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

/// An error as Bitwarden's services write it; its senders read `message`.
fn error_body(message: &str) -> Vec<u8> {
    serde_json::json!({ "message": message, "validationErrors": null }).to_string().into_bytes()
}
