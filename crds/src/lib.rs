//! API types of the group `notificationhub.rs`, and the CustomResourceDefinition that is generated from them.
//!
//! Depends on the Kubernetes API types only, not on the operator or the hub. The schema has no defaults, because GitOps tools
//! would report them as drift. The operator and the hub apply the defaults.

pub mod condition;
pub mod crd;
pub mod field;
mod schema;
pub mod v1alpha1;

pub use v1alpha1::NotificationHub;

/// API group of the resource.
pub const GROUP: &str = "notificationhub.rs";

/// Field manager of the operator for the children of a resource.
pub const FIELD_MANAGER: &str = "notificationhub.rs/operator";

/// Field manager of the operator for the status of a resource.
pub const STATUS_FIELD_MANAGER: &str = "notificationhub.rs/status";

/// Annotation of a resource. With the value `true`, the operator stops all changes of the hub and reports pending changes.
pub const PAUSED_ANNOTATION: &str = "notificationhub.rs/paused";

/// Field manager that owns `replicas` of a Deployment while the operator hands it over to an autoscaler.
pub const HAND_OVER_FIELD_MANAGER: &str = "notificationhub.rs/hand-over";

/// Annotation of a Secret that has the name of a managed Secret and no controller, such as a Secret from a backup. With the value
/// `true`, the operator adopts the Secret instead of reporting a conflict.
pub const ADOPT_ANNOTATION: &str = "notificationhub.rs/adopt";

/// Annotation of the pod template with the configuration of the hub. The pods mount it as a file.
pub const CONFIG_ANNOTATION: &str = "notificationhub.rs/config";

/// Annotation of the pod template with a digest of the configuration and of the Secrets whose change requires a rollout.
pub const CONFIG_CHECKSUM_ANNOTATION: &str = "notificationhub.rs/config-checksum";
