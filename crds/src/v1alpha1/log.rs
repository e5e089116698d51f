//! `spec.log`: logs of the pods.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Logs of the pods.
#[derive(JsonSchema, Clone, Debug, Default, Deserialize, Serialize, PartialEq)]
pub struct Log {
    /// level is the least severe level that is logged: `error`, `warn`, `info`, `debug`, `trace`, or `off`. A module
    /// can have its own level, as in `info,notification_hub::ingest=debug`. A change takes effect without a restart of
    /// the pods. Defaults to `info`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(
        length(max = 256),
        regex(
            pattern = r"^([A-Za-z0-9_:]+=)?(error|warn|info|debug|trace|off)(,([A-Za-z0-9_:]+=)?(error|warn|info|debug|trace|off))*$"
        )
    )]
    pub level: Option<String>,

    /// format is the format of the log: `json` (one object per line) or `text`. A change replaces the pods. Defaults to
    /// `json`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub format: Option<LogFormat>,
}

/// Format of the log.
// In the CRD, the description of an optional enum replaces that of the field.
#[derive(JsonSchema, Clone, Copy, Debug, Default, Deserialize, Serialize, PartialEq, Eq)]
#[schemars(
    description = "format is the format of the log: `json` (one object per line) or `text`. A change replaces the pods. \
        Defaults to `json`."
)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// One JSON object per line.
    #[default]
    Json,
    /// Text, for reading on a terminal.
    Text,
}
