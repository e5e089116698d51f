//! Fetches the keys of an identity server by OpenID Connect discovery (`bitwarden.md` 2.2): at the start, every 12 hours, and for
//! a token that no loaded key verifies. While the server is unavailable, the loaded keys stay.

use std::sync::Arc;
use std::time::Duration;

use reqwest::Response;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use tokio::sync::Mutex;
use tokio::time::{Instant, sleep};

use super::jwk_set::JwkSet;
use super::key::{Key, KeyError};
use super::key_watch::warn_skipped_keys;
use crate::auth::verifier::{KeySource, Verifier};
use crate::net::backoff::Backoff;
use crate::net::trusted_roots::ReloadingHttpClient;
use crate::observability::Metrics;
use crate::observability::error_chain::ErrorChain;

/// The timeout of one request.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);

/// The largest response body, in bytes.
const MAX_RESPONSE_BYTES: usize = 1024 * 1024;

/// The interval between two fetches without a failure.
const REFRESH_INTERVAL: Duration = Duration::from_secs(12 * 3600);

/// The shortest time between two fetches for tokens without a matching key. Bounds the cost of forged tokens.
const MIN_REFRESH_INTERVAL: Duration = Duration::from_secs(5);

/// The delay after the first failure. It doubles with each further one.
const INITIAL_RETRY_DELAY: Duration = Duration::from_secs(1);

/// The longest delay after a failure.
const MAX_RETRY_DELAY: Duration = Duration::from_secs(60);

/// An error of fetching the keys.
#[derive(Debug, thiserror::Error)]
pub enum JwksError {
    /// There is no complete response.
    #[error("cannot fetch {document}: {source}")]
    Unreachable {
        /// The document.
        document: &'static str,
        /// The error of the request.
        source: reqwest::Error,
    },
    /// The status is not a success.
    #[error("cannot fetch {document}: status {status}")]
    Status {
        /// The document.
        document: &'static str,
        /// The status.
        status: u16,
    },
    /// The body is too long.
    #[error("{0} is longer than {MAX_RESPONSE_BYTES} bytes")]
    TooLong(&'static str),
    /// The body is malformed. The error has only the position, because the body may contain secrets.
    #[error("{document} is malformed (line {line}, column {column})")]
    Malformed {
        /// The document.
        document: &'static str,
        /// The line of the error, from 1.
        line: usize,
        /// The column of the error, from 1.
        column: usize,
    },
    /// The key set cannot be used.
    #[error("the key set cannot be used: {0}")]
    Keys(#[from] KeyError),
}

/// A client for the JWK set of an identity server.
pub struct JwksClient {
    url: String,
    http: ReloadingHttpClient,
    verifier: Arc<Verifier>,
    metrics: Arc<Metrics>,
    /// Locked during a fetch, so that one fetch serves all callers that wait.
    last_fetch: Mutex<LastFetch>,
}

/// The last fetch of the keys.
#[derive(Default)]
struct LastFetch {
    /// The end of the fetch, successful or not. `None` before the first one.
    at: Option<Instant>,
    /// The skipped keys as they were last logged.
    skipped: Vec<String>,
}

#[derive(Deserialize)]
struct Discovery {
    issuer: String,
    jwks_uri: String,
}

impl JwksClient {
    /// Creates a client of the identity server at a URL. It passes the keys to a verifier.
    ///
    /// # Errors
    /// Returns an error if the TLS client cannot be created.
    pub fn new(url: &str, verifier: Arc<Verifier>, metrics: Arc<Metrics>) -> reqwest::Result<JwksClient> {
        let http = ReloadingHttpClient::new(|client| client.timeout(REQUEST_TIMEOUT))?;
        let url = url.trim_end_matches('/').to_owned();
        Ok(JwksClient { url, http, verifier, metrics, last_fetch: Mutex::default() })
    }

    /// Fetches the keys every [`REFRESH_INTERVAL`], and sooner after failures. Never returns.
    pub async fn run(self: Arc<Self>) {
        let mut backoff = Backoff::new(INITIAL_RETRY_DELAY, MAX_RETRY_DELAY);
        loop {
            let mut last_fetch = self.last_fetch.lock().await;
            let succeeded = self.refresh_now(&mut last_fetch).await;
            drop(last_fetch);
            if succeeded {
                backoff.reset();
                sleep(REFRESH_INTERVAL).await;
            } else {
                sleep(backoff.next_delay()).await;
            }
        }
    }

    /// Fetches the keys, unless the last fetch is less than [`MIN_REFRESH_INTERVAL`] ago.
    pub async fn refresh(&self) {
        let mut last_fetch = self.last_fetch.lock().await;
        if last_fetch.at.is_none_or(|last| last.elapsed() >= MIN_REFRESH_INTERVAL) {
            self.refresh_now(&mut last_fetch).await;
        }
    }

    /// Fetches the keys and passes them to the verifier. Returns `false` if the fetch failed.
    async fn refresh_now(&self, last_fetch: &mut LastFetch) -> bool {
        let result = self.fetch().await;
        last_fetch.at = Some(Instant::now());
        let label = if result.is_ok() { "loaded" } else { "failed" };
        self.metrics.key_reloads.inc(label);
        match result {
            Ok((keys, skipped)) => {
                tracing::info!(keys = keys.len(), authority = self.url, "identity server keys loaded");
                if skipped != last_fetch.skipped {
                    warn_skipped_keys(&self.url, &skipped);
                    last_fetch.skipped = skipped;
                }
                self.verifier.replace_keys(KeySource::Authority, keys);
                true
            }
            Err(error) => {
                let error = ErrorChain(&error);
                tracing::warn!(%error, authority = self.url, "identity server keys cannot be loaded; keeping the loaded ones");
                false
            }
        }
    }

    /// Fetches the keys. Returns them and the descriptions of the skipped entries.
    async fn fetch(&self) -> Result<(Vec<Key>, Vec<String>), JwksError> {
        let address = format!("{}/.well-known/openid-configuration", self.url);
        let discovery: Discovery =
            parse("the discovery document", &self.get("the discovery document", &address).await?)?;
        let set = JwkSet::parse(&self.get("the key set", &discovery.jwks_uri).await?)?;
        let issuer: Arc<str> = discovery.issuer.into();
        let keys = set.keys.into_iter().map(|key| key.with_issuer(issuer.clone())).collect();
        Ok((keys, set.skipped.iter().map(ToString::to_string).collect()))
    }

    async fn get(&self, document: &'static str, address: &str) -> Result<Vec<u8>, JwksError> {
        let failed = |error: reqwest::Error| JwksError::Unreachable { document, source: error.without_url() };
        let mut response: Response = self.http.get().get(address).send().await.map_err(failed)?;
        if !response.status().is_success() {
            return Err(JwksError::Status { document, status: response.status().as_u16() });
        }
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(failed)? {
            if body.len() + chunk.len() > MAX_RESPONSE_BYTES {
                return Err(JwksError::TooLong(document));
            }
            body.extend_from_slice(&chunk);
        }
        Ok(body)
    }
}

fn parse<T: DeserializeOwned>(document: &'static str, body: &[u8]) -> Result<T, JwksError> {
    let malformed =
        |error: serde_json::Error| JwksError::Malformed { document, line: error.line(), column: error.column() };
    serde_json::from_slice(body).map_err(malformed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn discovery_document_malformed_error_has_position_without_content() {
        for text in [r#"{"issuer":"x","jwks_uri":["TOP-SECRET"]}"#, r#""TOP-SECRET""#, "{\"issuer\": TOP-SECRET"] {
            let error = parse::<Discovery>("the discovery document", text.as_bytes()).err().expect("no document");
            assert!(error.to_string().starts_with("the discovery document is malformed (line 1, column "));
            assert!(!format!("{error} {error:?}").contains("SECRET"), "{error:?}");
        }
    }
}
