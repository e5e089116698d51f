//! Types and reasons of the conditions in `status.conditions`. They are part of the API.

use schemars::JsonSchema;

use crate::schema::variant_descriptions;

/// Type of a condition.
#[derive(JsonSchema, Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ConditionType {
    /// The spec is applied, and pods serve clients. `kubectl wait` waits for this condition. It becomes `True` when
    /// every pod is available, and stays `True` while at least one pod is.
    Ready,
    /// The desired number of pods is available, possibly in an older version.
    Available,
    /// A rollout is in progress.
    Progressing,
    /// No pod is available, or pods have been missing for more than five minutes. Also `True` if pods cannot be
    /// created, or if a rollout made no progress within its deadline.
    Degraded,
    /// The whole spec is applied.
    SpecValid,
    /// Every Secret entry that the spec refers to exists and is valid.
    ReferencesResolved,
    /// The Ingress and the HTTPRoute of `expose` lead to the hub.
    Exposed,
    /// The annotation `notificationhub.rs/paused` stops all changes.
    Paused,
    /// An object that the hub does not own has a name that the hub needs.
    Conflict,
}

impl ConditionType {
    /// Every type, in the order of `status.conditions`.
    pub const ALL: [ConditionType; 9] = [
        ConditionType::Ready,
        ConditionType::Available,
        ConditionType::Progressing,
        ConditionType::Degraded,
        ConditionType::SpecValid,
        ConditionType::ReferencesResolved,
        ConditionType::Exposed,
        ConditionType::Paused,
        ConditionType::Conflict,
    ];

    /// Returns the name of every type, with what `True` means.
    pub fn descriptions() -> Vec<(String, String)> {
        variant_descriptions::<ConditionType>()
    }

    /// Returns the `type` of the condition.
    pub const fn as_str(self) -> &'static str {
        match self {
            ConditionType::Ready => "Ready",
            ConditionType::Available => "Available",
            ConditionType::Progressing => "Progressing",
            ConditionType::Degraded => "Degraded",
            ConditionType::SpecValid => "SpecValid",
            ConditionType::ReferencesResolved => "ReferencesResolved",
            ConditionType::Exposed => "Exposed",
            ConditionType::Paused => "Paused",
            ConditionType::Conflict => "Conflict",
        }
    }
}

/// Reason of a condition. The documentation of each variant begins with the types of conditions that have this reason.
#[derive(JsonSchema, Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Reason {
    /// `Ready`, `Available`: The desired number of pods is available. For `Ready`, one pod is enough after all were
    /// available once.
    Available,
    /// `Ready`, `Available`: No pod is desired.
    ScaledToZero,
    /// `Ready`, `Available`, `Progressing`: A rollout is in progress.
    Progressing,
    /// `Ready`, `SpecValid`: The spec is invalid. The hub keeps running as before.
    InvalidSpec,
    /// `Ready`: A Secret entry that the spec refers to is missing or invalid.
    ReferencesMissing,
    /// `Ready`: An object that the hub does not own has a name that the hub needs.
    Conflict,
    /// `Ready`: The operator cannot read or write an object. The message names the object. The operator retries.
    ReconcileError,
    /// `Ready`, `Available`, `Degraded`: Pods are missing, and no rollout is in progress. For `Ready`, no pod is
    /// available, or a rollout is stuck.
    Unavailable,
    /// `Progressing`: The pods have the desired version.
    RolloutComplete,
    /// `Progressing`: The rollout waits until rollouts of other hubs are complete. Only rollouts without a change of
    /// the spec wait, such as those after an upgrade of the operator.
    RolloutQueued,
    /// `Progressing`, `Degraded`: The rollout made no progress within its deadline.
    ProgressDeadlineExceeded,
    /// `Progressing`, `Degraded`: The API server refused to create pods.
    FailedCreate,
    /// `Degraded`: The hub is not degraded.
    AsExpected,
    /// `Available`, `Progressing`, `Degraded`: There is no Deployment.
    NotDeployed,
    /// `SpecValid`: The whole spec is applied.
    Valid,
    /// `SpecValid`: `podTemplate` is not a PodTemplateSpec, or the merged pod template is invalid.
    InvalidPodTemplate,
    /// `SpecValid`: The API server refused an object that the operator built from the spec.
    ChildRejected,
    /// `SpecValid`: The spec is applied except for the fields that the message names.
    FieldsDropped,
    /// `SpecValid`, `Exposed`: The cluster does not serve a kind that the spec needs. The message names the kind. The
    /// rest of the spec is applied.
    KindNotServed,
    /// `ReferencesResolved`: Every Secret entry that the spec refers to exists and is valid.
    Resolved,
    /// `ReferencesResolved`: A Secret does not exist.
    SecretNotFound,
    /// `ReferencesResolved`: An entry of a Secret does not exist or is empty.
    SecretEntryMissing,
    /// `ReferencesResolved`: The value of a Secret entry is invalid for the field that refers to it.
    SecretEntryInvalid,
    /// `ReferencesResolved`: A Secret with signing keys has an invalid entry, or has no key.
    InvalidKey,
    /// `Exposed`: The Ingress has an address, and every parent of the HTTPRoute accepts it.
    Exposed,
    /// `Exposed`: The spec does not set `expose`.
    NotRequested,
    /// `Exposed`: The Ingress or the HTTPRoute does not exist yet.
    NotCreated,
    /// `Exposed`: The Ingress has no class, and the cluster has no default IngressClass.
    NoIngressClass,
    /// `Exposed`: The Ingress has no address, because no controller has accepted it yet.
    NoAddress,
    /// `Exposed`: A parent of the HTTPRoute has not reported yet whether it accepts the route.
    RoutePending,
    /// `Exposed`: A parent of the HTTPRoute does not accept the route.
    RouteNotAccepted,
    /// `Ready`, `Paused`: An annotation stops all changes. `Ready` has this reason only while changes are pending.
    Paused,
    /// `Paused`: Changes are applied.
    NotPaused,
    /// `Conflict`: There is no conflict.
    NoConflict,
    /// `Conflict`: The hub does not own the object that the message names.
    ForeignObject,
}

impl Reason {
    /// Returns the name of every reason, with the types of conditions that have it and its meaning.
    pub fn descriptions() -> Vec<(String, String)> {
        variant_descriptions::<Reason>()
    }

    /// Returns the `reason` of the condition.
    pub const fn as_str(self) -> &'static str {
        match self {
            Reason::Available => "Available",
            Reason::ScaledToZero => "ScaledToZero",
            Reason::Progressing => "Progressing",
            Reason::InvalidSpec => "InvalidSpec",
            Reason::ReferencesMissing => "ReferencesMissing",
            Reason::Conflict => "Conflict",
            Reason::ReconcileError => "ReconcileError",
            Reason::Unavailable => "Unavailable",
            Reason::RolloutComplete => "RolloutComplete",
            Reason::RolloutQueued => "RolloutQueued",
            Reason::ProgressDeadlineExceeded => "ProgressDeadlineExceeded",
            Reason::FailedCreate => "FailedCreate",
            Reason::AsExpected => "AsExpected",
            Reason::NotDeployed => "NotDeployed",
            Reason::Valid => "Valid",
            Reason::InvalidPodTemplate => "InvalidPodTemplate",
            Reason::ChildRejected => "ChildRejected",
            Reason::FieldsDropped => "FieldsDropped",
            Reason::KindNotServed => "KindNotServed",
            Reason::Resolved => "Resolved",
            Reason::SecretNotFound => "SecretNotFound",
            Reason::SecretEntryMissing => "SecretEntryMissing",
            Reason::SecretEntryInvalid => "SecretEntryInvalid",
            Reason::InvalidKey => "InvalidKey",
            Reason::Exposed => "Exposed",
            Reason::NotRequested => "NotRequested",
            Reason::NotCreated => "NotCreated",
            Reason::NoIngressClass => "NoIngressClass",
            Reason::NoAddress => "NoAddress",
            Reason::RoutePending => "RoutePending",
            Reason::RouteNotAccepted => "RouteNotAccepted",
            Reason::Paused => "Paused",
            Reason::NotPaused => "NotPaused",
            Reason::NoConflict => "NoConflict",
            Reason::ForeignObject => "ForeignObject",
        }
    }
}
