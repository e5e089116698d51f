//! Keeps the keys of an identity server up to date (`bitwarden.md` 2.2). Fetches them at the start, every 12 hours, and for a
//! token that no loaded key verifies. While the server is unavailable, the loaded keys stay.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Mutex;
use tokio::time::{Instant, sleep};

use super::discovery_client::DiscoveryClient;
use super::key_watch::warn_skipped_keys;
use crate::auth::verifier::{KeySource, Verifier};
use crate::net::backoff::Backoff;
use crate::observability::Metrics;
use crate::observability::error_chain::ErrorChain;

/// The interval between two fetches without a failure.
const REFRESH_INTERVAL: Duration = Duration::from_secs(12 * 3600);

/// The shortest time between two fetches for tokens without a matching key. Bounds the cost of forged tokens.
const MIN_REFRESH_INTERVAL: Duration = Duration::from_secs(5);

/// The delay after the first failure. It doubles with each further one.
const INITIAL_RETRY_DELAY: Duration = Duration::from_secs(1);

/// The longest delay after a failure.
const MAX_RETRY_DELAY: Duration = Duration::from_secs(60);

/// A client for the JWK set of an identity server.
pub struct JwksClient {
    discovery: DiscoveryClient,
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

impl JwksClient {
    /// Creates a client of the identity server at a URL. It passes the keys to a verifier.
    ///
    /// # Errors
    /// Returns an error if the TLS client cannot be created.
    pub fn new(url: &str, verifier: Arc<Verifier>, metrics: Arc<Metrics>) -> reqwest::Result<JwksClient> {
        let discovery = DiscoveryClient::new(url)?;
        Ok(JwksClient { discovery, verifier, metrics, last_fetch: Mutex::default() })
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
        let (result, authority) = (self.discovery.fetch().await, self.discovery.url());
        last_fetch.at = Some(Instant::now());
        let label = if result.is_ok() { "loaded" } else { "failed" };
        self.metrics.key_reloads.inc(label);
        match result {
            Ok(found) => {
                tracing::info!(keys = found.keys.len(), authority, "identity server keys loaded");
                if found.skipped != last_fetch.skipped {
                    warn_skipped_keys(authority, &found.skipped);
                    last_fetch.skipped = found.skipped;
                }
                self.verifier.replace_keys(KeySource::Authority, found.keys);
                true
            }
            Err(error) => {
                let error = ErrorChain(&error);
                tracing::warn!(%error, authority, "identity server keys cannot be loaded; keeping the loaded ones");
                false
            }
        }
    }
}
