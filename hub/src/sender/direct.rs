//! Sends pushes to `POST /send` of a hub.

use reqwest::StatusCode;
use reqwest::header::{CONTENT_TYPE, WWW_AUTHENTICATE};

use super::{TokenClient, TokenError};
use crate::auth::bearer::BearerToken;
use crate::auth::challenge;
use crate::net::trusted_roots;

/// The reason why a hub did not accept a push. Its texts do not contain the token.
#[derive(Debug, thiserror::Error)]
pub enum SendError {
    /// There is no token.
    #[error(transparent)]
    Token(#[from] TokenError),
    /// The hub cannot be reached.
    #[error("cannot reach the hub: {0}")]
    Unreachable(#[source] reqwest::Error),
    /// The hub answered with an error status.
    #[error("the hub answered {status}{}", .explanation.as_deref().map(|text| format!(": {text}")).unwrap_or_default())]
    Refused {
        /// The status.
        status: u16,
        /// The message of the hub, if the answer has one.
        explanation: Option<String>,
    },
}

/// The source of the token for the internal port of a hub.
pub enum InternalToken {
    /// A token that does not change.
    Static(BearerToken),
    /// Tokens of an identity server.
    Fetched(TokenClient),
}

/// A client of the internal port of a hub.
pub struct HttpSender {
    client: reqwest::Client,
    url: String,
    token: InternalToken,
}

impl HttpSender {
    /// Creates a sender for the hub at the base URL `url`. Appends `/send` unless the URL ends with it.
    pub fn new(url: &str, token: InternalToken) -> HttpSender {
        let base = url.trim_end_matches('/');
        let base = base.strip_suffix("/send").unwrap_or(base);
        HttpSender { client: trusted_roots::default_client(), url: format!("{base}/send"), token }
    }

    /// Sends the JSON of a push. Fetches another token if the hub rejects a fetched one.
    ///
    /// # Errors
    /// If there is no token, or the hub does not accept the push.
    pub async fn send(&self, text: String) -> Result<(), SendError> {
        let response = match &self.token {
            InternalToken::Static(token) => self.post(token, text).await?,
            InternalToken::Fetched(client) => {
                let token = client.token().await?;
                let response = self.post(&token, text.clone()).await?;
                if response.status() == StatusCode::UNAUTHORIZED {
                    // The signing key may have been replaced since the token was issued.
                    client.invalidate(&token).await;
                    self.post(&client.token().await?, text).await?
                } else {
                    response
                }
            }
        };
        let status = response.status();
        if status.is_success() {
            return Ok(());
        }
        let challenge = response.headers().get(WWW_AUTHENTICATE).and_then(|value| value.to_str().ok());
        let description = challenge.and_then(challenge::error_description);
        let body: Option<serde_json::Value> = response.json().await.ok();
        let message = body.and_then(|body| body.get("message")?.as_str().map(str::to_owned));
        let explanation = message.or(description);
        Err(SendError::Refused { status: status.as_u16(), explanation })
    }

    async fn post(&self, token: &BearerToken, text: String) -> Result<reqwest::Response, SendError> {
        let request = self.client.post(&self.url).bearer_auth(token.reveal());
        let request = request.header(CONTENT_TYPE, "application/json").body(text);
        request.send().await.map_err(|error| SendError::Unreachable(error.without_url()))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use axum::Router;
    use axum::http::HeaderMap;
    use axum::http::header::AUTHORIZATION;
    use axum::routing::post;

    use super::*;

    /// Starts a hub and an identity server in one. It accepts only the second token that it issues.
    async fn server() -> String {
        let issued = Arc::new(AtomicUsize::new(0));
        let token = move || {
            let number = issued.fetch_add(1, Ordering::SeqCst);
            std::future::ready(format!(r#"{{"access_token":"token-{number}","expires_in":86400}}"#))
        };
        let send = |headers: HeaderMap, body: String| {
            let is_valid = headers.get(AUTHORIZATION).is_some_and(|value| value == "Bearer token-1");
            std::future::ready(match (is_valid, body.as_str()) {
                (false, _) => (StatusCode::UNAUTHORIZED, String::new()),
                (true, "{}") => (StatusCode::BAD_REQUEST, r#"{"message":"no type"}"#.to_owned()),
                (true, _) => (StatusCode::OK, String::new()),
            })
        };
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        let routes = Router::new().route("/connect/token", post(token)).route("/send", post(send));
        tokio::spawn(axum::serve(listener, routes).into_future());
        url
    }

    #[tokio::test]
    async fn send_rejected_fetched_token_fetches_another() {
        let url = server().await;
        let client = TokenClient::new(&url, "Tests", "s".into());
        let hub = HttpSender::new(&format!("{url}/send/"), InternalToken::Fetched(client));
        hub.send("push".to_owned()).await.expect("the second token is valid");
        hub.send("push".to_owned()).await.expect("the second token stays valid");
        let error = hub.send("{}".to_owned()).await.expect_err("no push");
        assert_eq!(error.to_string(), "the hub answered 400: no type");
    }

    #[tokio::test]
    async fn send_rejected_static_token_fails() {
        let hub = HttpSender::new(&server().await, InternalToken::Static("token-0".into()));
        let error = hub.send("push".to_owned()).await.expect_err("a bad token");
        assert!(matches!(error, SendError::Refused { status: 401, explanation: None }), "{error}");
    }
}
