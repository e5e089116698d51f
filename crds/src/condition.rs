//! The types and reasons of the conditions in `status.conditions`: what other programs may rely on.

use schemars::JsonSchema;

use crate::schema::variant_descriptions;

/// Type of a condition.
#[derive(JsonSchema, Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ConditionType {
    /// The hub is as the spec wants it, and clients are served: this is what `kubectl wait` waits for. It becomes `True` when
    /// every pod answers, and stays so as long as one does.
    Ready,
    /// Every pod that is wanted answers, perhaps in an older version.
    Available,
    /// A rollout is under way.
    Progressing,
    /// Something does not recover by itself: no pod answers, or pods are missing for more than five minutes, were refused or made
    /// no progress.
    Degraded,
    /// The spec is carried out as it is written.
    SpecValid,
    /// Everything that the spec refers to exists and is well formed.
    ReferencesResolved,
    /// What `expose` asks for leads to the hub.
    Exposed,
    /// An annotation stops all changes.
    Paused,
    /// A foreign object has a name that the hub needs.
    Conflict,
}

impl ConditionType {
    /// Every type, in the order in which they are written.
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

    /// The `type` as it is written.
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

/// Reason of a condition. Its documentation begins with the conditions that have it.
#[derive(JsonSchema, Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Reason {
    /// `Ready`, `Available`: every wanted pod answers, or to `Ready` enough of them.
    Available,
    /// `Ready`, `Available`: no pod is wanted.
    ScaledToZero,
    /// `Ready`, `Available`, `Progressing`: a rollout is under way.
    Progressing,
    /// `Ready`, `SpecValid`: the spec cannot be carried out.
    InvalidSpec,
    /// `Ready`: something that the spec refers to is missing or malformed.
    ReferencesMissing,
    /// `Ready`: a foreign object is in the way.
    Conflict,
    /// `Ready`: the operator cannot read or write something; the message names it. It is tried again.
    ReconcileError,
    /// `Ready`, `Available`, `Degraded`: the rollout is over and pods are missing; to `Ready` all of them, or the rollout is
    /// not over.
    Unavailable,
    /// `Progressing`: what is running is what the spec wants.
    RolloutComplete,
    /// `Progressing`: a rollout that the spec did not ask for, such as one to the image of a new operator, waits until those of
    /// other hubs are over.
    RolloutQueued,
    /// `Progressing`, `Degraded`: the rollout made no progress within its deadline.
    DeadlineExceeded,
    /// `Progressing`, `Degraded`: pods could not be created.
    PodsRefused,
    /// `Degraded`: nothing to complain about.
    AsExpected,
    /// `Available`, `Progressing`, `Degraded`: there is no Deployment to judge.
    NotDeployed,
    /// `SpecValid`: all of the spec is carried out.
    Valid,
    /// `SpecValid`: `podTemplate` is no pod template, or would make a pod that the API server refuses.
    InvalidPodTemplate,
    /// `SpecValid`: the API server refused a child that was built from the spec.
    Refused,
    /// `SpecValid`: the spec is carried out, but for the fields that the message names.
    FieldsDropped,
    /// `SpecValid`, `Exposed`: the message names what the spec asks for and the cluster does not know; the rest is carried
    /// out.
    KindNotServed,
    /// `ReferencesResolved`: everything that the spec refers to is there.
    Resolved,
    /// `ReferencesResolved`: a Secret does not exist.
    SecretNotFound,
    /// `ReferencesResolved`: a Secret has not got an entry, or it is empty.
    SecretEntryMissing,
    /// `ReferencesResolved`: an entry of a Secret is not what it is used for.
    SecretEntryInvalid,
    /// `ReferencesResolved`: an entry of a Secret is malformed, or none is a key.
    InvalidKey,
    /// `Exposed`: what `expose` asks for has an address.
    Exposed,
    /// `Exposed`: `expose` asks for nothing.
    NotAsked,
    /// `Exposed`: the Ingress or the HTTPRoute is not there yet.
    NotMade,
    /// `Exposed`: the Ingress has no class, and the cluster no default one.
    NoIngressClass,
    /// `Exposed`: the Ingress has no address: no controller has taken it yet.
    NoAddress,
    /// `Exposed`: what the HTTPRoute is to be attached to has not said yet whether it takes it.
    RoutePending,
    /// `Exposed`: what the HTTPRoute is to be attached to does not take it.
    RouteNotAccepted,
    /// `Ready`, `Paused`: an annotation stops changes. `Ready` says so only while some are waiting.
    Paused,
    /// `Paused`: changes are carried out.
    NotPaused,
    /// `Conflict`: no foreign object is in the way.
    NoConflict,
    /// `Conflict`: the object that the message names belongs to somebody else.
    ForeignObject,
}

impl Reason {
    /// Returns the name of every reason, with the conditions that have it and its meaning.
    pub fn descriptions() -> Vec<(String, String)> {
        variant_descriptions::<Reason>()
    }

    /// The `reason` as it is written.
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
            Reason::DeadlineExceeded => "DeadlineExceeded",
            Reason::PodsRefused => "PodsRefused",
            Reason::AsExpected => "AsExpected",
            Reason::NotDeployed => "NotDeployed",
            Reason::Valid => "Valid",
            Reason::InvalidPodTemplate => "InvalidPodTemplate",
            Reason::Refused => "Refused",
            Reason::FieldsDropped => "FieldsDropped",
            Reason::KindNotServed => "KindNotServed",
            Reason::Resolved => "Resolved",
            Reason::SecretNotFound => "SecretNotFound",
            Reason::SecretEntryMissing => "SecretEntryMissing",
            Reason::SecretEntryInvalid => "SecretEntryInvalid",
            Reason::InvalidKey => "InvalidKey",
            Reason::Exposed => "Exposed",
            Reason::NotAsked => "NotAsked",
            Reason::NotMade => "NotMade",
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
