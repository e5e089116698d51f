//! The ConfigMap with the settings that a running hub reads again. No I/O.

use k8s_openapi::api::core::v1::ConfigMap;

use crate::build::{LOG_LEVEL, metadata};
use crate::model::ValidatedHub;

/// How much is written if the spec does not say.
const LEVEL: &str = "info";

pub(in crate::build) fn build(hub: &ValidatedHub) -> ConfigMap {
    let level = hub.log.level.as_deref().unwrap_or(LEVEL);
    ConfigMap {
        metadata: metadata::of(hub, hub.name.as_str()),
        data: Some([(LOG_LEVEL.to_owned(), level.to_owned())].into()),
        ..ConfigMap::default()
    }
}
