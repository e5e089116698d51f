//! Error and display name of a child, for the steps that write children.

use crate::cluster::{CallError, Kind};
use crate::keys::KeyGenerationError;

/// Error of writing a child.
#[derive(Debug, thiserror::Error)]
pub enum ChildError {
    /// A call for a child, or for all children of a kind, failed.
    #[error("{object}: {source}")]
    Call {
        /// Kind and name of the child.
        object: String,
        /// Error of the call.
        source: CallError,
    },
    /// A key could not be generated.
    #[error(transparent)]
    Key(#[from] KeyGenerationError),
}

impl ChildError {
    /// Creates the error of a failed call for `object`.
    pub(super) fn new(object: String, source: CallError) -> ChildError {
        ChildError::Call { object, source }
    }

    /// Returns the category of the error, for the label of a metric.
    pub fn category(&self) -> &'static str {
        match self {
            ChildError::Call { source, .. } => source.category(),
            ChildError::Key(_) => "key",
        }
    }

    /// Returns whether the API server refused the content of the object. A refusal of its metadata is transient: the
    /// object was replaced between the ownership check and the write.
    pub(super) fn is_content_rejection(&self) -> bool {
        let ChildError::Call { source, .. } = self else { return false };
        let Some(status) = source.status() else { return false };
        let causes = status.details.iter().flat_map(|details| &details.causes);
        let is_race = causes.into_iter().any(|cause| cause.field.starts_with("metadata."));
        (matches!(status.code, 400 | 403 | 413 | 422) || source.is_schema_mismatch()) && !is_race
    }
}

/// Returns the kind and name of a child, for messages.
pub(super) fn display_name<K: Kind>(name: &str) -> String {
    format!("{} {name}", K::kind(&()))
}
