//! `spec.log`: what pods write of what they do.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What pods write of what they do.
#[derive(JsonSchema, Clone, Debug, Default, Deserialize, Serialize, PartialEq)]
pub struct Log {
    /// How much: `error`, `warn`, `info`, `debug`, `trace` or `off`, also for a part of the hub alone, as in
    /// `info,notification_hub::source=debug`. A change reaches the running hub without a restart. Defaults to `info`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(
        length(max = 256),
        regex(
            pattern = r"^([A-Za-z0-9_:]+=)?(error|warn|info|debug|trace|off)(,([A-Za-z0-9_:]+=)?(error|warn|info|debug|trace|off))*$"
        )
    )]
    pub level: Option<String>,

    /// How it is written. When it changes, the pods are replaced. Defaults to `json`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub format: Option<LogFormat>,
}

/// How it is written: `json`, an object a line, or `text`, for people. When it changes, the pods are replaced. Defaults
/// to `json`.
#[derive(JsonSchema, Clone, Copy, Debug, Default, Deserialize, Serialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// An object a line.
    #[default]
    Json,
    /// For people.
    Text,
}
