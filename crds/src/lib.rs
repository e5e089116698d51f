//! The API types of `notificationhub.rs`, and the CustomResourceDefinition that is generated from them.
//!
//! May depend on the Kubernetes API types only; knows neither the operator nor the hub. The schema has no defaults:
//! GitOps tools would show them as drift. Defaults live in the operator.

pub mod condition;
pub mod crd;
pub mod field;
mod schema;
pub mod v1alpha1;

pub use v1alpha1::NotificationHub;

/// The API group.
pub const GROUP: &str = "notificationhub.rs";

/// Field manager for the children of a resource.
pub const FIELD_MANAGER: &str = "notificationhub.rs/operator";

/// Field manager for the status of a resource.
pub const STATUS_FIELD_MANAGER: &str = "notificationhub.rs/status";

/// Annotation of a resource: with the value `true` the operator changes nothing of the hub, and tells what is waiting.
pub const PAUSED_ANNOTATION: &str = "notificationhub.rs/paused";

/// Field manager that owns the number of pods while the operator hands it over to an autoscaler.
pub const HAND_OVER_FIELD_MANAGER: &str = "notificationhub.rs/hand-over";

/// Annotation of a Secret without a controller that has the name of a hub's own, such as one from a backup: with the value
/// `true` the hub takes it over instead of reporting a conflict.
pub const ADOPT_ANNOTATION: &str = "notificationhub.rs/adopt";

/// Annotation of the pod template: the hub's configuration, which the pods have as a file.
pub const CONFIG_ANNOTATION: &str = "notificationhub.rs/config";

/// Annotation of the pod template: a digest of the configuration that needs a rollout when it changes.
pub const CONFIG_CHECKSUM_ANNOTATION: &str = "notificationhub.rs/config-checksum";
