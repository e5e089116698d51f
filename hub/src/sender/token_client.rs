//! Fetches internal tokens from an identity server, by client credentials (`bitwarden.md` 2.4). Caches the token and renews it
//! before it expires.

use std::time::Duration;

use reqwest::StatusCode;
use serde::Deserialize;
use tokio::sync::Mutex;
use tokio::time::Instant;

use crate::auth::bearer::BearerToken;
use crate::net::trusted_roots;
use crate::secret::Secret;

/// How long before its expiration a token is renewed, but at most a tenth of its lifetime.
const RENEW_BEFORE: Duration = Duration::from_secs(300);

/// Maximum lifetime of a token. Longer ones are shortened, so that times do not overflow.
const MAX_LIFETIME: Duration = Duration::from_secs(30 * 24 * 3600);

/// How long a request to the identity server may take.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);

/// The reason why there is no token. Its texts do not contain the client secret.
#[derive(Debug, thiserror::Error)]
pub enum TokenError {
    /// The identity server cannot be reached.
    #[error("cannot reach the identity server: {0}")]
    Unreachable(#[source] reqwest::Error),
    /// The identity server answered with an error status.
    #[error("the identity server answered {status}{}", .error.as_deref().map(|error| format!(": {error}")).unwrap_or_default())]
    Refused {
        /// The status.
        status: u16,
        /// The OAuth error code, if the answer has one.
        error: Option<String>,
    },
    /// The answer of the identity server has no token.
    #[error("the answer of the identity server has no token")]
    InvalidResponse,
}

/// A client of the token endpoint of an identity server.
pub struct TokenClient {
    client: reqwest::Client,
    url: String,
    client_id: String,
    secret: Secret,
    current: Mutex<Option<CachedToken>>,
}

/// The cached token.
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

impl TokenClient {
    /// Creates a client of the identity server at the base URL `url`, with the client id `internal.<project>`.
    pub fn new(url: &str, project: &str, secret: Secret) -> TokenClient {
        TokenClient {
            client: trusted_roots::default_client(),
            url: format!("{}/connect/token", url.trim_end_matches('/')),
            client_id: format!("internal.{project}"),
            secret,
            current: Mutex::new(None),
        }
    }

    /// Returns a valid token, from the cache or the identity server. Concurrent callers wait for one request.
    ///
    /// # Errors
    /// If no token is cached and the identity server issues none.
    pub async fn token(&self) -> Result<BearerToken, TokenError> {
        let mut current = self.current.lock().await;
        let now = Instant::now();
        match &*current {
            Some(known) if now < known.refresh_at => return Ok(known.token.clone()),
            _ => {}
        }
        match self.fetch(now).await {
            Ok(new) => Ok(current.insert(new).token.clone()),
            // The cached token may be valid for a little longer.
            Err(error) => match &*current {
                Some(known) if now < known.expires_at => Ok(known.token.clone()),
                _ => Err(error),
            },
        }
    }

    /// Drops a rejected token from the cache, unless it has been replaced.
    pub async fn invalidate(&self, token: &BearerToken) {
        let mut current = self.current.lock().await;
        if current.as_ref().is_some_and(|current| current.token == *token) {
            *current = None;
        }
    }

    async fn fetch(&self, now: Instant) -> Result<CachedToken, TokenError> {
        let form = [
            ("grant_type", "client_credentials"),
            ("scope", "internal"),
            ("client_id", &self.client_id),
            ("client_secret", self.secret.reveal()),
        ];
        let request = self.client.post(&self.url).form(&form).timeout(REQUEST_TIMEOUT);
        let unreachable = |error: reqwest::Error| TokenError::Unreachable(error.without_url());
        let response = request.send().await.map_err(unreachable)?;
        let status = response.status();
        let body = response.bytes().await.map_err(unreachable)?;
        if status != StatusCode::OK {
            // Other texts than an error code may quote the request, which contains the secret.
            let is_error_code = |error: &String| error.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_');
            let error = serde_json::from_slice(&body).ok().map(|body: OAuthError| body.error).filter(is_error_code);
            return Err(TokenError::Refused { status: status.as_u16(), error });
        }
        let response: TokenResponse = serde_json::from_slice(&body).map_err(|_| TokenError::InvalidResponse)?;
        let lifetime = Duration::from_secs(response.expires_in).min(MAX_LIFETIME);
        let refresh_at = now + lifetime.saturating_sub(RENEW_BEFORE.min(lifetime / 10));
        Ok(CachedToken { token: response.access_token.into(), refresh_at, expires_at: now + lifetime })
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

    /// Starts a server that issues numbered tokens for 100 seconds to clients with the secret, but refuses the third request.
    /// Returns its URL and the number of requests.
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
    async fn token_is_fetched_once_until_renewed_or_invalidated() {
        let (url, count) = server().await;
        let client = TokenClient::new(&url, "Tests", "s+".into());
        let tokens = futures_util::future::join_all((0..10).map(|_| client.token())).await;
        for token in &tokens {
            assert_eq!(token.as_ref().expect("a token").reveal(), "token-0");
        }
        assert_eq!(count.load(Ordering::SeqCst), 1);

        client.invalidate(&"another".into()).await;
        assert_eq!(client.token().await.expect("a token").reveal(), "token-0");
        client.invalidate(&"token-0".into()).await;
        assert_eq!(client.token().await.expect("a token").reveal(), "token-1");

        // It is renewed after 90 seconds. The server refuses, and the cached token is still valid.
        let age = |current: &mut Option<CachedToken>, by: Duration| {
            let current = current.as_mut().expect("a token");
            (current.refresh_at, current.expires_at) = (current.refresh_at - by, current.expires_at - by);
        };
        age(&mut *client.current.lock().await, Duration::from_secs(91));
        assert_eq!(client.token().await.expect("a token").reveal(), "token-1");
        assert_eq!(client.token().await.expect("a token").reveal(), "token-3");
        assert_eq!(count.load(Ordering::SeqCst), 4);
    }

    #[tokio::test]
    async fn token_any_lifetime_is_accepted_and_errors_quote_no_response() {
        async fn token(status: StatusCode, answer: String) -> Result<BearerToken, TokenError> {
            let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
            let url = format!("http://{}", listener.local_addr().expect("an address"));
            let answer = move || std::future::ready((status, answer));
            let routes = Router::new().route("/connect/token", post(answer));
            tokio::spawn(axum::serve(listener, routes).into_future());
            TokenClient::new(&url, "Tests", "s".into()).token().await
        }
        for lifetime in [0, 1, u64::MAX] {
            let answer = format!(r#"{{"access_token":"token","expires_in":{lifetime}}}"#);
            assert_eq!(token(StatusCode::OK, answer).await.expect("a token").reveal(), "token", "{lifetime}");
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
    async fn token_refused_returns_oauth_code_without_secret() {
        let (url, _) = server().await;
        let error = TokenClient::new(&url, "Tests", "SECRET".into()).token().await.expect_err("a refusal");
        assert_eq!(error.to_string(), "the identity server answered 400: invalid_client");
        let error =
            TokenClient::new("http://127.0.0.1:1", "Tests", "SECRET".into()).token().await.expect_err("no server");
        assert!(matches!(&error, TokenError::Unreachable(_)));
        assert!(!format!("{error} {error:?}").contains("SECRET"));
    }
}
