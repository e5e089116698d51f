//! Watches the key files and passes changed keys to the verifier.

use std::path::PathBuf;
use std::sync::Arc;

use super::key_files::{self, KeyFileContents, KeyFilesError, ParsedKeys};
use crate::auth::verifier::{KeySource, Verifier};
use crate::net::file_watch::{ReloadTrigger, watch_files};
use crate::observability::Metrics;

/// The key files and their contents when they were last loaded.
pub struct KeyWatch {
    paths: Vec<PathBuf>,
    contents: KeyFileContents,
}

impl KeyWatch {
    /// Loads the files for the first time.
    ///
    /// # Errors
    /// Returns an error for the first file that is unreadable or malformed, or if there is no key.
    pub fn open(paths: Vec<PathBuf>) -> Result<(KeyWatch, ParsedKeys), KeyFilesError> {
        let contents = key_files::read(&paths)?;
        let parsed = key_files::parse(&contents)?;
        Ok((KeyWatch { paths, contents }, parsed))
    }

    /// Loads the files again whenever they change. Keeps the old keys if the new ones cannot be loaded. Never returns.
    pub async fn run(self, trigger: ReloadTrigger, verifier: Arc<Verifier>, metrics: Arc<Metrics>) {
        let KeyWatch { paths, contents } = self;
        let load = |contents: &KeyFileContents| {
            let ParsedKeys { keys, skipped } = key_files::parse(contents)?;
            tracing::info!(keys = keys.len(), "key files reloaded");
            warn_skipped_keys("auth.keys", &skipped);
            metrics.key_reloads.inc("loaded");
            verifier.replace_keys(KeySource::Files, keys);
            Ok(())
        };
        let failed = || metrics.key_reloads.inc("failed");
        watch_files("keys", trigger, contents, move |_| key_files::read(&paths), load, failed).await;
    }
}

/// Logs the skipped keys of JWK sets, if there are any.
pub(crate) fn warn_skipped_keys(origin: &str, skipped: &[String]) {
    if !skipped.is_empty() {
        tracing::warn!(origin, keys = skipped.join("; "), "JWK set keys skipped");
    }
}
