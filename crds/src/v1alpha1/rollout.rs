//! `spec.rollout`: replacement of the pods after a change.

use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::schema::count_or_percentage;

/// Rollout of the pods after a change.
#[derive(JsonSchema, Clone, Debug, Default, Deserialize, Serialize, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct Rollout {
    /// maxSurge is the maximum number of pods above the desired number during a rollout. It is a number from 1 to 1000,
    /// or a percentage of the desired number from 1% to 999%. With `100%`, all new pods are ready before the first old
    /// pod ends, so that no client reconnects to an old pod. Defaults to `100%`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "count_or_percentage")]
    pub max_surge: Option<IntOrString>,
}
