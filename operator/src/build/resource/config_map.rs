//! The ConfigMap with the hub's configuration. Pure.

use k8s_openapi::api::core::v1::ConfigMap;

use crate::build::{CONFIG_FILE, metadata};
use crate::model::ValidatedHub;

pub(in crate::build) fn build(hub: &ValidatedHub, config: &str) -> ConfigMap {
    ConfigMap {
        metadata: metadata::of(hub, hub.name.as_str()),
        data: Some([(CONFIG_FILE.to_owned(), config.to_owned())].into()),
        ..ConfigMap::default()
    }
}
