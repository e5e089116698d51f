//! The ConfigMap with the hub's configuration. Pure.

use k8s_openapi::api::core::v1::ConfigMap;

use crate::build::{CONFIG_FILE, LOG_LEVEL, metadata};
use crate::model::ValidatedHub;

/// How much is written if the spec does not say.
const LEVEL: &str = "info";

pub(in crate::build) fn build(hub: &ValidatedHub, config: &str) -> ConfigMap {
    let level = hub.log.level.as_deref().unwrap_or(LEVEL);
    let entries = [(CONFIG_FILE, config), (LOG_LEVEL, level)];
    ConfigMap {
        metadata: metadata::of(hub, hub.name.as_str()),
        data: Some(entries.map(|(name, text)| (name.to_owned(), text.to_owned())).into()),
        ..ConfigMap::default()
    }
}
