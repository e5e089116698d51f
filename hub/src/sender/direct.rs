//! Sends pushes to a hub's `POST /send`.

use reqwest::StatusCode;
use reqwest::header::{CONTENT_TYPE, WWW_AUTHENTICATE};

use super::{Identity, IdentityError};
use crate::auth::bearer::BearerToken;
use crate::auth::challenge;
use crate::net::trusted_roots;

/// Why a push was not taken. No text of it holds the token.
#[derive(Debug, thiserror::Error)]
pub enum SendError {
    /// There is no token.
    #[error(transparent)]
    Identity(#[from] IdentityError),
    /// The hub could not be reached.
    #[error("the hub could not be reached: {0}")]
    Unreachable(#[source] reqwest::Error),
    /// The hub refused.
    #[error("the hub answered {status}{}", .explanation.as_deref().map(|text| format!(": {text}")).unwrap_or_default())]
    Refused {
        /// The status.
        status: u16,
        /// What it says.
        explanation: Option<String>,
    },
}

/// Where the token for a hub's internal port comes from.
pub enum InternalToken {
    /// It is given.
    Given(BearerToken),
    /// An identity server issues it.
    Issued(Identity),
}

/// A hub's internal port.
pub struct HttpSender {
    client: reqwest::Client,
    url: String,
    token: InternalToken,
}

impl HttpSender {
    /// A sender for the hub at `url`, a base: `/send` is appended unless it ends so.
    pub fn new(url: &str, token: InternalToken) -> HttpSender {
        let base = url.trim_end_matches('/');
        let base = base.strip_suffix("/send").unwrap_or(base);
        HttpSender { client: trusted_roots::default_client(), url: format!("{base}/send"), token }
    }

    /// Sends a push's text.
    ///
    /// # Errors
    /// If the hub does not take it.
    pub async fn send(&self, text: String) -> Result<(), SendError> {
        let response = match &self.token {
            InternalToken::Given(token) => self.post(token, text).await?,
            InternalToken::Issued(identity) => {
                let token = identity.token().await?;
                let response = self.post(&token, text.clone()).await?;
                if response.status() == StatusCode::UNAUTHORIZED {
                    // Its key may have been replaced since; a new token tells.
                    identity.invalidate(&token).await;
                    self.post(&identity.token().await?, text).await?
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

    /// A hub and an identity server in one: only the second token that it gives is good.
    async fn server() -> String {
        let given = Arc::new(AtomicUsize::new(0));
        let token = move || {
            let number = given.fetch_add(1, Ordering::SeqCst);
            std::future::ready(format!(r#"{{"access_token":"token-{number}","expires_in":86400}}"#))
        };
        let send = |headers: HeaderMap, body: String| {
            let good = headers.get(AUTHORIZATION).is_some_and(|value| value == "Bearer token-1");
            std::future::ready(match (good, body.as_str()) {
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
    async fn send_with_rejected_issued_token_fetches_another() {
        let url = server().await;
        let identity = Identity::new(&url, "Tests", "s".into());
        let hub = HttpSender::new(&format!("{url}/send/"), InternalToken::Issued(identity));
        hub.send("push".to_owned()).await.expect("the second token is good");
        hub.send("push".to_owned()).await.expect("and stays");
        let error = hub.send("{}".to_owned()).await.expect_err("no push");
        assert_eq!(error.to_string(), "the hub answered 400: no type");
    }

    #[tokio::test]
    async fn send_with_rejected_static_token_fails() {
        let hub = HttpSender::new(&server().await, InternalToken::Given("token-0".into()));
        let error = hub.send("push".to_owned()).await.expect_err("a bad token");
        assert!(matches!(error, SendError::Refused { status: 401, explanation: None }), "{error}");
    }
}
