//! `spec.rollout`: how pods are replaced.

use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::schema::count_or_percentage;

/// How pods are replaced when something has changed.
#[derive(JsonSchema, Clone, Debug, Default, Deserialize, Serialize, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct Rollout {
    /// How many pods there may be besides those that are wanted, as a number or as a percentage of them. With `100%` all new
    /// pods are there before the first old one goes, so that no client lands on an old one again. Defaults to `100%`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "count_or_percentage")]
    pub max_surge: Option<IntOrString>,
}
