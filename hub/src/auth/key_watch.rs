//! Looks at the key files and takes a changed set over, without a restart and without a disconnect (`decisions.md` 7).

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::key::Key;
use super::key_files::{self, Contents, KeyFilesError};
use super::verifier::{Origin, Verifier};
use crate::telemetry::Metrics;

/// How often the files are looked at. They are few and small, and reading them tells every kind of change: of a file, of
/// the links of a mounted Secret, of a network file system that notifies nobody.
const EVERY: Duration = Duration::from_secs(2);

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
    pub fn open(paths: Vec<PathBuf>) -> Result<(KeyWatch, Vec<Key>), KeyFilesError> {
        let contents = key_files::read(&paths)?;
        let keys = key_files::parse(&contents)?;
        Ok((KeyWatch { paths, contents }, keys))
    }

    /// Goes on for ever. A set that can't be read leaves the old one in force.
    pub async fn run(mut self, verifier: Arc<Verifier>, metrics: Arc<Metrics>) {
        let mut complained = String::new();
        loop {
            tokio::time::sleep(EVERY).await;
            let paths = self.paths.clone();
            // A file system that hangs must not hold up everything else.
            let Ok(read) = tokio::task::spawn_blocking(move || key_files::read(&paths)).await else { continue };
            match read.and_then(|contents| self.changed(contents)) {
                Ok(None) => complained.clear(),
                Ok(Some(keys)) => {
                    tracing::info!(keys = keys.len(), "the keys have changed");
                    metrics.key_reloads.inc("loaded");
                    verifier.replace_keys(Origin::Files, keys);
                    complained.clear();
                }
                Err(error) => {
                    let complaint = error.to_string();
                    if complaint != complained {
                        tracing::warn!(%error, "the changed keys can't be read; the old ones stay");
                        metrics.key_reloads.inc("failed");
                        complained = complaint;
                    }
                }
            }
        }
    }

    /// The keys of files that are not those taken over before.
    fn changed(&mut self, contents: Contents) -> Result<Option<Vec<Key>>, KeyFilesError> {
        if contents == self.contents {
            return Ok(None);
        }
        let keys = key_files::parse(&contents)?;
        self.contents = contents;
        Ok(Some(keys))
    }
}
