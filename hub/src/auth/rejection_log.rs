//! What the log tells of a token that was rejected: the reason and what the token says of itself, never the token.

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use serde_json::Value;

use super::Rejection;
use super::bearer::BearerToken;

/// The most characters of a text that are logged: nobody has vouched for the token.
const MAX_LOGGED_CHARS: usize = 128;

/// What a token that nobody has verified says of itself.
#[derive(Debug, Default, PartialEq)]
struct Unverified {
    kid: Option<String>,
    iss: Option<String>,
    exp: Option<f64>,
}

impl Unverified {
    /// Reads what can be read.
    fn read(token: &BearerToken) -> Unverified {
        let mut parts = token.reveal().split('.').map(|part| {
            let json = BASE64_URL_SAFE_NO_PAD.decode(part).unwrap_or_default();
            serde_json::from_slice::<Value>(&json).unwrap_or_default()
        });
        let (header, payload) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
        let text = |value: &Value| value.as_str().map(|text| text.chars().take(MAX_LOGGED_CHARS).collect());
        Unverified { kid: text(&header["kid"]), iss: text(&payload["iss"]), exp: payload["exp"].as_f64() }
    }
}

/// Logs at debug level why a token was rejected.
pub(super) fn log_rejection(token: &BearerToken, rejection: Rejection) {
    if tracing::enabled!(tracing::Level::DEBUG) {
        let Unverified { kid, iss, exp } = Unverified::read(token);
        tracing::debug!(reason = rejection.label(), kid, iss, exp, "a token was rejected");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(header: &str, payload: &str) -> Unverified {
        let encode = |text: &str| BASE64_URL_SAFE_NO_PAD.encode(text);
        Unverified::read(&BearerToken::from(format!("{}.{}.signature", encode(header), encode(payload))))
    }

    #[test]
    fn unverified_malformed_token_yields_its_readable_fields() {
        let all = Unverified { kid: Some("k".into()), iss: Some("http://identity".into()), exp: Some(5.0) };
        assert_eq!(read(r#"{"kid":"k"}"#, r#"{"iss":"http://identity","exp":5}"#), all);
        assert_eq!(read(r#"{"kid":7}"#, "[]"), Unverified::default());
        assert_eq!(Unverified::read(&BearerToken::from("")), Unverified::default());
        let long = read(&format!(r#"{{"kid":"{}"}}"#, "ä".repeat(1000)), "");
        assert_eq!(long.kid.map(|kid| kid.chars().count()), Some(MAX_LOGGED_CHARS));
    }
}
