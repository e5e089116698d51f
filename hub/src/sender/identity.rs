//! Internal tokens from an identity server, by client credentials (`bitwarden.md` 2.4): fetched once, shared, and renewed
//! before they expire.

use std::time::Duration;

use reqwest::StatusCode;
use serde::Deserialize;
use tokio::sync::Mutex;
use tokio::time::Instant;

use crate::auth::bearer::BearerToken;
use crate::net::trusted_roots;
use crate::secret::Secret;

/// How long before its end a token is renewed; for short-lived ones, a tenth of their life.
const RENEW_BEFORE: Duration = Duration::from_secs(300);

/// The longest lifetime of a token that is believed.
const MAX_LIFETIME: Duration = Duration::from_secs(30 * 24 * 3600);

/// How long the server may take.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);

/// Why there is no token. No text of it holds the secret.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    /// The server could not be reached.
    #[error("the identity server could not be reached: {0}")]
    Unreachable(#[source] reqwest::Error),
    /// It refused.
    #[error("the identity server answered {status}{}", .error.as_deref().map(|error| format!(": {error}")).unwrap_or_default())]
    Refused {
        /// The status.
        status: u16,
        /// OAuth's word for the error.
        error: Option<String>,
    },
    /// Its answer holds no token.
    #[error("the identity server's answer holds no token")]
    InvalidResponse,
}

/// A client of an identity server.
pub struct Identity {
    client: reqwest::Client,
    url: String,
    client_id: String,
    secret: Secret,
    current: Mutex<Option<CachedToken>>,
}

/// A token in use.
struct CachedToken {
    token: BearerToken,
    refresh_at: Instant,
    expires_at: Instant,
}

#[derive(Deserialize)]
struct TokenResponse {
    access_token: String,
    #[serde(default)]
    expires_in: u64,
}

#[derive(Deserialize)]
struct OAuthError {
    error: String,
}

impl Identity {
    /// A client of the server at `url`, a base, as the service `project` of an installation.
    pub fn new(url: &str, project: &str, secret: Secret) -> Identity {
        Identity {
            client: trusted_roots::default_client(),
            url: format!("{}/connect/token", url.trim_end_matches('/')),
            client_id: format!("internal.{project}"),
            secret,
            current: Mutex::new(None),
        }
    }

    /// A token that is good for a while. Callers that come together wait for one request.
    ///
    /// # Errors
    /// If there is none, and the server gives none.
    pub async fn token(&self) -> Result<BearerToken, IdentityError> {
        let mut current = self.current.lock().await;
        let now = Instant::now();
        match &*current {
            Some(known) if now < known.refresh_at => return Ok(known.token.clone()),
            _ => {}
        }
        match self.fetch(now).await {
            Ok(new) => Ok(current.insert(new).token.clone()),
            // The old one is good for a little longer.
            Err(error) => match &*current {
                Some(known) if now < known.expires_at => Ok(known.token.clone()),
                _ => Err(error),
            },
        }
    }

    /// Gives up a token that was refused, unless it has been replaced already.
    pub async fn invalidate(&self, token: &BearerToken) {
        let mut current = self.current.lock().await;
        if current.as_ref().is_some_and(|current| current.token == *token) {
            *current = None;
        }
    }

    async fn fetch(&self, now: Instant) -> Result<CachedToken, IdentityError> {
        let form = [
            ("grant_type", "client_credentials"),
            ("scope", "internal"),
            ("client_id", &self.client_id),
            ("client_secret", self.secret.reveal()),
        ];
        let request = self.client.post(&self.url).form(&form).timeout(REQUEST_TIMEOUT);
        let unreachable = |error: reqwest::Error| IdentityError::Unreachable(error.without_url());
        let response = request.send().await.map_err(unreachable)?;
        let status = response.status();
        let body = response.bytes().await.map_err(unreachable)?;
        if status != StatusCode::OK {
            // A word of OAuth's; whatever else stands there is not ours to repeat.
            let is_word = |error: &String| error.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_');
            let error = serde_json::from_slice(&body).ok().map(|refusal: OAuthError| refusal.error).filter(is_word);
            return Err(IdentityError::Refused { status: status.as_u16(), error });
        }
        let answer: TokenResponse = serde_json::from_slice(&body).map_err(|_| IdentityError::InvalidResponse)?;
        let life = Duration::from_secs(answer.expires_in).min(MAX_LIFETIME);
        let refresh_at = now + life.saturating_sub(RENEW_BEFORE.min(life / 10));
        Ok(CachedToken { token: answer.access_token.into(), refresh_at, expires_at: now + life })
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use axum::Router;
    use axum::http::StatusCode;
    use axum::routing::post;

    use super::*;

    /// A server that gives tokens for 100 seconds to who knows the secret, numbered; with how many it has given.
    async fn server() -> (String, Arc<AtomicUsize>) {
        let count = Arc::new(AtomicUsize::new(0));
        let counted = count.clone();
        let answer = move |body: String| {
            let number = counted.fetch_add(1, Ordering::SeqCst);
            let expected = "grant_type=client_credentials&scope=internal&client_id=internal.Tests&client_secret=s%2B";
            std::future::ready(match body == expected && number != 2 {
                true => (StatusCode::OK, format!(r#"{{"access_token":"token-{number}","expires_in":100}}"#)),
                false => (StatusCode::BAD_REQUEST, r#"{"error":"invalid_client"}"#.to_owned()),
            })
        };
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let url = format!("http://{}/identity/", listener.local_addr().expect("an address"));
        let routes = Router::new().route("/identity/connect/token", post(answer));
        tokio::spawn(axum::serve(listener, routes).into_future());
        (url, count)
    }

    #[tokio::test]
    async fn token_is_fetched_once_until_renewed_or_forgotten() {
        let (url, count) = server().await;
        let identity = Identity::new(&url, "Tests", "s+".into());
        let tokens = futures_util::future::join_all((0..10).map(|_| identity.token())).await;
        for token in &tokens {
            assert_eq!(token.as_ref().expect("a token").reveal(), "token-0");
        }
        assert_eq!(count.load(Ordering::SeqCst), 1);

        identity.invalidate(&"another".into()).await;
        assert_eq!(identity.token().await.expect("a token").reveal(), "token-0");
        identity.invalidate(&"token-0".into()).await;
        assert_eq!(identity.token().await.expect("a token").reveal(), "token-1");

        // 90 seconds later it is due; the server refuses, and the old one still holds.
        let age = |current: &mut Option<CachedToken>, by: Duration| {
            let current = current.as_mut().expect("a token");
            (current.refresh_at, current.expires_at) = (current.refresh_at - by, current.expires_at - by);
        };
        age(&mut *identity.current.lock().await, Duration::from_secs(91));
        assert_eq!(identity.token().await.expect("a token").reveal(), "token-1");
        assert_eq!(identity.token().await.expect("a token").reveal(), "token-3");
        assert_eq!(count.load(Ordering::SeqCst), 4);
    }

    #[tokio::test]
    async fn token_accepts_any_lifetime_and_errors_quote_no_response() {
        async fn token(status: StatusCode, answer: String) -> Result<BearerToken, IdentityError> {
            let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
            let url = format!("http://{}", listener.local_addr().expect("an address"));
            let answer = move || std::future::ready((status, answer));
            let routes = Router::new().route("/connect/token", post(answer));
            tokio::spawn(axum::serve(listener, routes).into_future());
            Identity::new(&url, "Tests", "s".into()).token().await
        }
        for life in [0, 1, u64::MAX] {
            let answer = format!(r#"{{"access_token":"token","expires_in":{life}}}"#);
            assert_eq!(token(StatusCode::OK, answer).await.expect("a token").reveal(), "token", "{life}");
        }
        for (status, answer) in [
            (StatusCode::OK, r#""SECRET""#),
            (StatusCode::OK, r#"{"access_token":["SECRET"]}"#),
            (StatusCode::OK, r#"{"access_token":"a","expires_in":"SECRET"}"#),
            (StatusCode::BAD_REQUEST, r#"{"error":"the secret SECRET is wrong"}"#),
        ] {
            let error = token(status, answer.to_owned()).await.expect_err(answer);
            assert!(!format!("{error} {error:?}").contains("SECRET"), "{error:?}");
        }
    }

    #[tokio::test]
    async fn token_refused_error_has_oauth_code_without_secret() {
        let (url, _) = server().await;
        let error = Identity::new(&url, "Tests", "SECRET".into()).token().await.expect_err("a refusal");
        assert_eq!(error.to_string(), "the identity server answered 400: invalid_client");
        let error = Identity::new("http://127.0.0.1:1", "Tests", "SECRET".into()).token().await.expect_err("no server");
        assert!(matches!(&error, IdentityError::Unreachable(_)));
        assert!(!format!("{error} {error:?}").contains("SECRET"));
    }
}
