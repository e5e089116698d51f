//! Looks at the key files and takes a changed set over.

use std::path::PathBuf;
use std::sync::Arc;

use super::key_files::{self, Contents, KeyFilesError, ParsedKeys};
use crate::auth::verifier::{KeySource, Verifier};
use crate::net::file_watch::{ReloadTrigger, watch_files};
use crate::observability::Metrics;

/// Key files as they were last taken over.
pub struct KeyWatch {
    paths: Vec<PathBuf>,
    contents: Contents,
}

impl KeyWatch {
    /// Reads the files for the first time.
    ///
    /// # Errors
    /// The first file that can't be read or is no key; a set without any key.
    pub fn open(paths: Vec<PathBuf>) -> Result<(KeyWatch, ParsedKeys), KeyFilesError> {
        let contents = key_files::read(&paths)?;
        let parsed = key_files::parse(&contents)?;
        Ok((KeyWatch { paths, contents }, parsed))
    }

    /// Goes on for ever. A set that can't be read leaves the old one in force.
    pub async fn run(self, trigger: ReloadTrigger, verifier: Arc<Verifier>, metrics: Arc<Metrics>) {
        let KeyWatch { paths, contents } = self;
        let take = |contents: &Contents| {
            let ParsedKeys { keys, left_out } = key_files::parse(contents)?;
            tracing::info!(keys = keys.len(), "the keys have changed");
            warn_of_left_out("auth.keys", &left_out);
            metrics.key_reloads.inc("loaded");
            verifier.replace_keys(KeySource::Files, keys);
            Ok(())
        };
        let failed = || metrics.key_reloads.inc("failed");
        watch_files("keys", trigger, contents, move |_| key_files::read(&paths), take, failed).await;
    }
}

/// Logs the keys of JWK sets that are not used.
pub(crate) fn warn_of_left_out(origin: &str, left_out: &[String]) {
    if !left_out.is_empty() {
        tracing::warn!(origin, keys = left_out.join("; "), "keys of a JWK set are not used");
    }
}
