//! What the steps that write children share: how a child is called, and the failure of a call for one.

use crate::cluster::{CallError, Kind};
use crate::keys::KeyGenerationError;

/// A child could not be written.
#[derive(Debug, thiserror::Error)]
pub enum ChildError {
    /// A call for it, or for all of a kind, failed.
    #[error("{object}: {source}")]
    Call {
        /// Its kind and name.
        object: String,
        /// What went wrong.
        source: CallError,
    },
    /// A key could not be made.
    #[error(transparent)]
    Key(#[from] KeyGenerationError),
}

impl ChildError {
    /// The call for `object` failed.
    pub(super) fn new(object: String, source: CallError) -> ChildError {
        ChildError::Call { object, source }
    }

    /// What kind of failure it was.
    pub fn category(&self) -> &'static str {
        match self {
            ChildError::Call { source, .. } => source.category(),
            ChildError::Key(_) => "key",
        }
    }

    /// Whether the server minds what the object says. What it minds about metadata comes of a race (the object was made
    /// anew between look and write) and passes.
    pub(super) fn is_content_rejection(&self) -> bool {
        let ChildError::Call { source, .. } = self else { return false };
        let Some(status) = source.status() else { return false };
        let causes = status.details.iter().flat_map(|details| &details.causes);
        let is_race = causes.into_iter().any(|cause| cause.field.starts_with("metadata."));
        (matches!(status.code, 400 | 403 | 413 | 422) || source.is_schema_mismatch()) && !is_race
    }
}

/// The kind and the name, for people.
pub(super) fn display_name<K: Kind>(name: &str) -> String {
    format!("{} {name}", K::kind(&()))
}
