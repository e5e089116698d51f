//! The part of the startup before a port is bound: loads keys, the key of connection tokens and the queue's credential.
//! `check-config` runs it too, so that both reject the same configurations. No network.

use crate::auth::keys::key_files::{KeyFilesError, ParsedKeys};
use crate::auth::keys::key_watch::KeyWatch;
use crate::azure_storage::QueueError;
use crate::config::{Config, SourceConfig};
use crate::http::connection_token_registry::{ConnectionTokenKeyError, ConnectionTokenRegistry, NoRandomness};
use crate::ingest::azure_queue::AzureQueueSource;

/// Why a valid configuration cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum PreflightError {
    /// The keys cannot be loaded.
    #[error("auth.keys: {0}")]
    Keys(#[from] KeyFilesError),
    /// The key of connection tokens cannot be loaded.
    #[error("connection_token_key_file: {0}")]
    ConnectionTokenKey(#[from] ConnectionTokenKeyError),
    /// No key of connection tokens is configured, and none can be generated.
    #[error("connection_token_key_file: {0}")]
    NoRandomness(#[from] NoRandomness),
    /// The queue has no usable credential.
    #[error("source.azure_queue: {0}")]
    Queue(#[from] QueueError),
}

/// The loaded keys and credentials.
pub struct Preflight {
    /// The key files and the keys in them; `None` if all keys come from an identity server.
    pub keys: Option<(KeyWatch, ParsedKeys)>,
    /// The registry of connection tokens.
    pub connection_tokens: ConnectionTokenRegistry,
    /// The queue. `None` if `/send` is the source.
    pub queue: Option<AzureQueueSource>,
}

impl Preflight {
    /// Loads everything.
    ///
    /// # Errors
    /// All problems.
    pub fn run(config: &Config) -> Result<Preflight, Vec<PreflightError>> {
        let keys = match &config.auth.authority {
            Some(_) if config.auth.keys.is_empty() => Ok(None),
            _ => KeyWatch::open(config.auth.keys.clone()).map(Some).map_err(PreflightError::from),
        };
        let connection_tokens = match &config.connection_token_key {
            Some(file) => ConnectionTokenRegistry::with_key_file(file).map_err(PreflightError::from),
            None => ConnectionTokenRegistry::with_random_key().map_err(PreflightError::from),
        };
        let queue = match &config.source {
            SourceConfig::Direct => Ok(None),
            SourceConfig::AzureQueue(settings) => {
                let is_single_replica = config.backplane.redis.is_none();
                AzureQueueSource::open(settings, is_single_replica).map(Some).map_err(PreflightError::from)
            }
        };
        match (keys, connection_tokens, queue) {
            (Ok(keys), Ok(connection_tokens), Ok(queue)) => Ok(Preflight { keys, connection_tokens, queue }),
            (keys, connection_tokens, queue) => {
                Err([keys.err(), connection_tokens.err(), queue.err()].into_iter().flatten().collect())
            }
        }
    }

    /// Returns problems that prevent nothing: keys of JWK sets that are not used.
    pub fn warnings(&self) -> Vec<String> {
        let skipped = self.keys.iter().flat_map(|(_, parsed)| &parsed.skipped);
        skipped.map(|key| format!("auth.keys: {key}; it is not used")).collect()
    }
}
