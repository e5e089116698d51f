//! What the steps that write children share: how a child is called, and the failure of a call for one.

use crate::cluster::{CallError, Kind};

/// A call for one child, or for all of a kind, failed.
#[derive(Debug, thiserror::Error)]
#[error("{object}: {source}")]
pub struct Error {
    object: String,
    source: CallError,
}

impl Error {
    /// The call for `object` failed.
    pub(super) fn new(object: String, source: CallError) -> Error {
        Error { object, source }
    }

    /// What kind of failure it was.
    pub fn category(&self) -> &'static str {
        self.source.category()
    }

    /// Whether the server minds what the object says. What it minds about metadata comes of a race (the object was made
    /// anew between look and write) and passes.
    pub(super) fn is_about_the_content(&self) -> bool {
        let Some(status) = self.source.status() else { return false };
        let causes = status.details.iter().flat_map(|details| &details.causes);
        let is_race = causes.into_iter().any(|cause| cause.field.starts_with("metadata."));
        matches!(status.code, 400 | 403 | 422) && !is_race
    }
}

/// The kind and the name, for people.
pub(super) fn title<K: Kind>(name: &str) -> String {
    format!("{} {name}", K::kind(&()))
}
