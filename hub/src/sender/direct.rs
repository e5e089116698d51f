//! Sends pushes to a hub's `POST /send`.

use reqwest::header::CONTENT_TYPE;

use crate::auth::bearer::Bearer;

/// Why a push was not taken. No text of it holds the token.
#[derive(Debug, thiserror::Error)]
pub enum SendError {
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

/// A hub's internal port.
pub struct Direct {
    client: reqwest::Client,
    url: String,
    token: Bearer,
}

impl Direct {
    /// A sender for the hub at `url`, a base: `/send` is appended unless it ends so.
    pub fn new(url: &str, token: Bearer) -> Direct {
        let base = url.trim_end_matches('/');
        let base = base.strip_suffix("/send").unwrap_or(base);
        Direct { client: reqwest::Client::new(), url: format!("{base}/send"), token }
    }

    /// Sends a push's text.
    ///
    /// # Errors
    /// If the hub does not take it.
    pub async fn send(&self, text: String) -> Result<(), SendError> {
        let request = self.client.post(&self.url).bearer_auth(self.token.reveal());
        let request = request.header(CONTENT_TYPE, "application/json").body(text);
        let response = request.send().await.map_err(|error| SendError::Unreachable(error.without_url()))?;
        let status = response.status();
        if status.is_success() {
            return Ok(());
        }
        let body: Option<serde_json::Value> = response.json().await.ok();
        let explanation = body.and_then(|body| body.get("message")?.as_str().map(str::to_owned));
        Err(SendError::Refused { status: status.as_u16(), explanation })
    }
}
