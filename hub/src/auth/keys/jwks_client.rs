//! The identity server: its keys by OpenID Connect's discovery, fetched at the start, twice a day, and when a token comes
//! that no known key fits (`bitwarden.md` 2.2). While it is away, the last good keys stay.

use std::sync::Arc;
use std::time::Duration;

use reqwest::Response;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use tokio::sync::Mutex;
use tokio::time::{Instant, sleep};

use super::jwk_set::JwkSet;
use super::key::{Key, KeyError};
use super::key_watch::warn_of_left_out;
use crate::auth::verifier::{KeySource, Verifier};
use crate::net::trusted_roots::ReloadingHttpClient;
use crate::observability::Metrics;
use crate::observability::error_chain::ErrorChain;

/// How long one answer may take.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);

/// The largest answer, in bytes.
const MAX_RESPONSE_BYTES: usize = 1024 * 1024;

/// How often the keys are refreshed.
const REFRESH_INTERVAL: Duration = Duration::from_secs(12 * 3600);

/// The least time between two fetches for tokens without a matching key. Bounds the cost of forged tokens.
const MIN_REFRESH_INTERVAL: Duration = Duration::from_secs(5);

/// The first and the longest delay after a failure.
const RETRY_DELAYS: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(60));

/// Why the keys could not be fetched.
#[derive(Debug, thiserror::Error)]
pub enum JwksError {
    /// There was no answer.
    #[error("{what} could not be fetched: {source}")]
    Unreachable {
        /// The document.
        what: &'static str,
        /// What went wrong.
        source: reqwest::Error,
    },
    /// The answer was another one.
    #[error("{what}: the answer was {status}")]
    Status {
        /// The document.
        what: &'static str,
        /// The status.
        status: u16,
    },
    /// The answer was too long.
    #[error("{0} is too long")]
    TooLong(&'static str),
    /// The answer was no such document. Only the place is told: whatever answers there, its text is not ours to repeat.
    #[error("{what} can't be understood (see line {line}, column {column})")]
    Malformed {
        /// The document.
        what: &'static str,
        /// The line of the error, from 1.
        line: usize,
        /// The column of the error, from 1.
        column: usize,
    },
    /// The keys.
    #[error("the key set can't be used: {0}")]
    Keys(#[from] KeyError),
}

/// A client for the JWK set of an identity server.
pub struct JwksClient {
    url: String,
    http: ReloadingHttpClient,
    verifier: Arc<Verifier>,
    metrics: Arc<Metrics>,
    /// Held during a fetch, so that one fetch serves all who wait.
    fetched: Mutex<LastFetch>,
}

/// The last fetch of the keys.
#[derive(Default)]
struct LastFetch {
    /// The time of it, successful or not.
    at: Option<Instant>,
    /// The keys of the set that are not used, as they were last logged.
    left_out: Vec<String>,
}

#[derive(Deserialize)]
struct Discovery {
    issuer: String,
    jwks_uri: String,
}

impl JwksClient {
    /// The identity server at a URL, whose keys go to a verifier.
    ///
    /// # Errors
    /// If there is no TLS.
    pub fn new(url: &str, verifier: Arc<Verifier>, metrics: Arc<Metrics>) -> reqwest::Result<JwksClient> {
        let http = ReloadingHttpClient::new(|client| client.timeout(REQUEST_TIMEOUT))?;
        let url = url.trim_end_matches('/').to_owned();
        Ok(JwksClient { url, http, verifier, metrics, fetched: Mutex::default() })
    }

    /// Keeps the keys fresh, for ever.
    pub async fn run(self: Arc<Self>) {
        let mut retry = RETRY_DELAYS.0;
        loop {
            let mut fetched = self.fetched.lock().await;
            let good = self.refresh_now(&mut fetched).await;
            drop(fetched);
            if good {
                retry = RETRY_DELAYS.0;
                sleep(REFRESH_INTERVAL).await;
            } else {
                sleep(retry).await;
                retry = (retry * 2).min(RETRY_DELAYS.1);
            }
        }
    }

    /// Fetches the keys, unless that was done just now.
    pub async fn refresh(&self) {
        let mut fetched = self.fetched.lock().await;
        if fetched.at.is_none_or(|last| last.elapsed() >= MIN_REFRESH_INTERVAL) {
            self.refresh_now(&mut fetched).await;
        }
    }

    async fn refresh_now(&self, fetched: &mut LastFetch) -> bool {
        let result = self.fetch().await;
        fetched.at = Some(Instant::now());
        let label = if result.is_ok() { "loaded" } else { "failed" };
        self.metrics.key_reloads.inc(label);
        match result {
            Ok((keys, left_out)) => {
                tracing::info!(keys = keys.len(), authority = self.url, "the identity server's keys are loaded");
                if left_out != fetched.left_out {
                    warn_of_left_out(&self.url, &left_out);
                    fetched.left_out = left_out;
                }
                self.verifier.replace_keys(KeySource::Authority, keys);
                true
            }
            Err(error) => {
                let error = ErrorChain(&error);
                tracing::warn!(%error, authority = self.url, "the identity server's keys can't be loaded; those that are known stay");
                false
            }
        }
    }

    /// Returns the keys, and the entries of the set that are not used.
    async fn fetch(&self) -> Result<(Vec<Key>, Vec<String>), JwksError> {
        let address = format!("{}/.well-known/openid-configuration", self.url);
        let discovery: Discovery =
            parse("the discovery document", &self.get("the discovery document", &address).await?)?;
        let set = JwkSet::parse(&self.get("the key set", &discovery.jwks_uri).await?)?;
        let issuer: Arc<str> = discovery.issuer.into();
        let keys = set.keys.into_iter().map(|key| key.with_issuer(issuer.clone())).collect();
        Ok((keys, set.left_out.iter().map(ToString::to_string).collect()))
    }

    async fn get(&self, what: &'static str, address: &str) -> Result<Vec<u8>, JwksError> {
        let failed = |error: reqwest::Error| JwksError::Unreachable { what, source: error.without_url() };
        let mut response: Response = self.http.get().get(address).send().await.map_err(failed)?;
        if !response.status().is_success() {
            return Err(JwksError::Status { what, status: response.status().as_u16() });
        }
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(failed)? {
            if body.len() + chunk.len() > MAX_RESPONSE_BYTES {
                return Err(JwksError::TooLong(what));
            }
            body.extend_from_slice(&chunk);
        }
        Ok(body)
    }
}

fn parse<T: DeserializeOwned>(what: &'static str, body: &[u8]) -> Result<T, JwksError> {
    let malformed =
        |error: serde_json::Error| JwksError::Malformed { what, line: error.line(), column: error.column() };
    serde_json::from_slice(body).map_err(malformed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn discovery_document_malformed_error_has_position_without_content() {
        for text in [r#"{"issuer":"x","jwks_uri":["TOP-SECRET"]}"#, r#""TOP-SECRET""#, "{\"issuer\": TOP-SECRET"] {
            let error = parse::<Discovery>("the discovery document", text.as_bytes()).err().expect("no document");
            assert!(error.to_string().starts_with("the discovery document can't be understood (see line 1, column "));
            assert!(!format!("{error} {error:?}").contains("SECRET"), "{error:?}");
        }
    }
}
