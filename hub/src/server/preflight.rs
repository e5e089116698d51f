//! What a hub loads before it binds a port: keys, the key of connection tokens, the queue's credential. `check-config` ends
//! here, so that it refuses what `serve` would.

use crate::auth::keys::key_files::{KeyFilesError, ParsedKeys};
use crate::auth::keys::key_watch::KeyWatch;
use crate::azure_storage::QueueError;
use crate::config::{Config, SourceConfig};
use crate::http::connection_token_registry::{ConnectionTokenKeyError, ConnectionTokenRegistry, NoRandomness};
use crate::ingest::azure_queue::AzureQueueSource;

/// Why a configuration that can be read can't be used.
#[derive(Debug, thiserror::Error)]
pub enum PreflightError {
    /// The keys.
    #[error("auth.keys: {0}")]
    Keys(#[from] KeyFilesError),
    /// The key of connection tokens.
    #[error("connection_token_key_file: {0}")]
    ConnectionTokenKey(#[from] ConnectionTokenKeyError),
    /// There is no such file, and none can be made up.
    #[error("connection_token_key_file: {0}")]
    NoRandomness(#[from] NoRandomness),
    /// The queue.
    #[error("source.azure_queue: {0}")]
    Queue(#[from] QueueError),
}

/// What was loaded.
pub struct Preflight {
    /// The key files and the keys in them; `None` if all keys come from an identity server.
    pub keys: Option<(KeyWatch, ParsedKeys)>,
    /// The connections that clients negotiate.
    pub connection_tokens: ConnectionTokenRegistry,
    /// The queue, if it is the source.
    pub queue: Option<AzureQueueSource>,
}

impl Preflight {
    /// Loads everything, without a port and without the network.
    ///
    /// # Errors
    /// Everything that is wrong.
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
                let alone = config.backplane.redis.is_none();
                AzureQueueSource::open(settings, alone).map(Some).map_err(PreflightError::from)
            }
        };
        match (keys, connection_tokens, queue) {
            (Ok(keys), Ok(connection_tokens), Ok(queue)) => Ok(Preflight { keys, connection_tokens, queue }),
            (keys, connection_tokens, queue) => {
                Err([keys.err(), connection_tokens.err(), queue.err()].into_iter().flatten().collect())
            }
        }
    }

    /// What is odd but no error: keys of JWK sets that are not used.
    pub fn warnings(&self) -> Vec<String> {
        let skipped = self.keys.iter().flat_map(|(_, parsed)| &parsed.skipped);
        skipped.map(|key| format!("auth.keys: {key}; it is not used")).collect()
    }
}
