//! Names the part that a GET request lacks to be an upgrade. No I/O.

use axum::http::Method;
use axum::http::request::Parts;

use super::error_response::ErrorResponse;
use super::headers::NO_CACHE_HEADERS;
use super::request_kind::accepts_event_stream;
use crate::auth::Query;

/// Returns an error response that names what a request lacks to be an upgrade (`decisions.md` 3). Returns `None` if the request
/// was not meant as an upgrade.
pub(super) fn missing_upgrade_hint(parts: &Parts, query: &Query<'_>) -> Option<ErrorResponse> {
    let headers = &parts.headers;
    if parts.method != Method::GET || accepts_event_stream(headers) || query.value("id").is_some() {
        return None;
    }
    let missing = [("Connection", "Upgrade"), ("Upgrade", "websocket")].into_iter().find(|(name, wanted)| {
        !headers.get_all(*name).iter().any(|value| {
            value.to_str().is_ok_and(|value| value.split(',').any(|token| token.trim().eq_ignore_ascii_case(wanted)))
        })
    });
    let explanation = match missing {
        Some((name, value)) => {
            format!(
                "the header '{name}: {value}' is missing: this is a WebSocket endpoint, and a proxy in front of it may drop the header"
            )
        }
        None => "this is a WebSocket endpoint, and the request is not an HTTP/1.1 upgrade".to_owned(),
    };
    let error_response = ErrorResponse::json(400, &format!("Connection ID required; {explanation}."));
    Some(
        NO_CACHE_HEADERS
            .into_iter()
            .fold(error_response, |error_response, (name, value)| error_response.with(name, value)),
    )
}
