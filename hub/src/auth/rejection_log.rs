//! Logs rejected tokens: the reason and some unverified fields, never the token itself.
//! Called by each verifier of tokens: a reactor, the verification thread or axum.

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use serde_json::Value;

use super::Rejection;
use super::bearer::BearerToken;

/// The most characters of a field that are logged, because the field is not verified and may be long.
const MAX_LOGGED_CHARS: usize = 128;

/// Fields of a token that is not verified.
#[derive(Debug, Default, PartialEq)]
struct UnverifiedFields {
    kid: Option<String>,
    iss: Option<String>,
    exp: Option<f64>,
}

impl UnverifiedFields {
    /// Reads the fields. Those that are missing or malformed are `None`.
    fn read(token: &BearerToken) -> UnverifiedFields {
        let mut parts = token.reveal().split('.').map(|part| {
            let json = BASE64_URL_SAFE_NO_PAD.decode(part).unwrap_or_default();
            serde_json::from_slice::<Value>(&json).unwrap_or_default()
        });
        let (header, payload) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
        let text = |value: &Value| value.as_str().map(|text| text.chars().take(MAX_LOGGED_CHARS).collect());
        UnverifiedFields { kid: text(&header["kid"]), iss: text(&payload["iss"]), exp: payload["exp"].as_f64() }
    }
}

/// Logs at debug level why a token was rejected.
pub(super) fn log_rejection(token: &BearerToken, rejection: Rejection) {
    if tracing::enabled!(tracing::Level::DEBUG) {
        let UnverifiedFields { kid, iss, exp } = UnverifiedFields::read(token);
        tracing::debug!(reason = rejection.label(), kid, iss, exp, "token rejected");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(header: &str, payload: &str) -> UnverifiedFields {
        let encode = |text: &str| BASE64_URL_SAFE_NO_PAD.encode(text);
        UnverifiedFields::read(&BearerToken::from(format!("{}.{}.signature", encode(header), encode(payload))))
    }

    #[test]
    fn unverified_fields_malformed_token_yields_its_readable_fields() {
        let all = UnverifiedFields { kid: Some("k".into()), iss: Some("http://identity".into()), exp: Some(5.0) };
        assert_eq!(read(r#"{"kid":"k"}"#, r#"{"iss":"http://identity","exp":5}"#), all);
        assert_eq!(read(r#"{"kid":7}"#, "[]"), UnverifiedFields::default());
        assert_eq!(UnverifiedFields::read(&BearerToken::from("")), UnverifiedFields::default());
        let long = read(&format!(r#"{{"kid":"{}"}}"#, "ä".repeat(1000)), "");
        assert_eq!(long.kid.map(|kid| kid.chars().count()), Some(MAX_LOGGED_CHARS));
    }
}
