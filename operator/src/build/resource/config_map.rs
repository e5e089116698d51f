//! The ConfigMap with the log level, which a running hub reloads. No I/O.

use k8s_openapi::api::core::v1::ConfigMap;

use crate::build::{LOG_LEVEL_FILE, metadata};
use crate::model::ValidatedHub;

/// Log level of a spec that does not set one.
const DEFAULT_LOG_LEVEL: &str = "info";

/// Returns the ConfigMap.
pub(in crate::build) fn build(hub: &ValidatedHub) -> ConfigMap {
    let level = hub.log.level.as_deref().unwrap_or(DEFAULT_LOG_LEVEL);
    ConfigMap {
        metadata: metadata::for_child(hub, hub.name.as_str()),
        data: Some([(LOG_LEVEL_FILE.to_owned(), level.to_owned())].into()),
        ..ConfigMap::default()
    }
}
