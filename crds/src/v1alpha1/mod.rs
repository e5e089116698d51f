//! Version `v1alpha1`: the resource, its spec, and the rules that the API server enforces.

#![expect(unreachable_pub, reason = "KubeSchema repeats each struct inside a function")]

mod auth;
mod autoscaling;
mod azure_queue;
mod backplane;
mod catch_up;
mod drain;
mod expose;
mod image;
mod limits;
mod log;
mod monitoring;
mod network_policy;
mod rollout;
mod secret;
mod service;
mod source;
mod status;

pub use auth::{Auth, Generate, KeyAlgorithm, SigningKeys};
pub use autoscaling::{Autoscaling, Keda};
pub use azure_queue::{AzureQueue, WorkloadIdentity};
pub use backplane::{Backplane, Redis};
pub use catch_up::CatchUp;
pub use drain::Drain;
pub use expose::{Expose, ExposeHttpRoute, ExposeIngress, ParentReference};
pub use image::{Image, PullPolicy, PullSecret};
pub use limits::Limits;
pub use log::{Log, LogFormat};
pub use monitoring::{Monitor, Monitoring};
pub use network_policy::NetworkPolicy;
pub use rollout::Rollout;
pub use secret::{SecretKeyReference, SecretReference, SecretValue};
pub use service::{PublicService, ServiceType};
pub use source::{Direct, Source};
pub use status::{KeyTimes, NotificationHubStatus, SourceKind};

use kube::{CustomResource, KubeSchema};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::schema::preserved_object;

/// What a notification hub should be.
#[derive(CustomResource, KubeSchema, Clone, Debug, Deserialize, Serialize, PartialEq)]
#[kube(
    group = "notificationhub.rs",
    version = "v1alpha1",
    kind = "NotificationHub",
    plural = "notificationhubs",
    shortname = "nhub",
    namespaced,
    doc = "A notification hub: pods to which clients connect over SignalR, and through which notifications are pushed to them.",
    status = "NotificationHubStatus",
    derive = "PartialEq",
    scale(
        spec_replicas_path = ".spec.replicas",
        status_replicas_path = ".status.replicas",
        label_selector_path = ".status.selector"
    ),
    printcolumn(
        name = "Ready",
        type_ = "string",
        json_path = ".status.conditions[?(@.type==\"Ready\")].status",
        description = "Whether the hub is as the spec wants it"
    ),
    printcolumn(
        name = "Replicas",
        type_ = "integer",
        json_path = ".status.replicas",
        description = "Pods that exist"
    ),
    printcolumn(
        name = "Source",
        type_ = "string",
        json_path = ".status.source",
        description = "Where notifications come from"
    ),
    printcolumn(
        name = "Connections",
        type_ = "integer",
        json_path = ".status.connections",
        description = "Clients that are connected"
    ),
    printcolumn(
        name = "Age",
        type_ = "date",
        json_path = ".metadata.creationTimestamp",
        description = "How long it has been there"
    ),
    printcolumn(
        name = "URL",
        type_ = "string",
        json_path = ".status.url",
        description = "Where clients inside the cluster connect",
        priority = 1
    ),
    printcolumn(
        name = "Reason",
        type_ = "string",
        json_path = ".status.conditions[?(@.type==\"Ready\")].reason",
        description = "Why the hub is ready or not",
        priority = 1
    ),
    validation = Rule::new("size(self.metadata.name) <= 40")
        .message("metadata.name may have at most 40 characters: the names of the hub's Services are made from it; choose a shorter one"),
    validation = Rule::new("self.metadata.name.matches('^[a-z]([-a-z0-9]*[a-z0-9])?$')")
        .message("metadata.name becomes the name of Services: start with a letter, go on with lower-case letters, digits and '-', end with a letter or digit")
)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("has(self.backplane) || !has(self.replicas) || self.replicas <= 1")
        .message("more than one replica needs a backplane, by which a push to one reaches the clients of all: give backplane.redis, or set replicas to 0 or 1")
        .reason(Reason::FieldValueForbidden)
        .field_path(".replicas"),
    validation = Rule::new("!has(self.replicas) || !has(self.autoscaling)")
        .message("an autoscaler would not leave the number of pods alone: give either replicas or autoscaling; the pods that there are stay")
        .reason(Reason::FieldValueForbidden)
        .field_path(".replicas"),
    validation = Rule::new("has(self.backplane) || !has(self.autoscaling) || self.autoscaling.maxReplicas <= 1")
        .message("more than one pod needs a backplane, by which a push to one reaches the clients of all: give backplane.redis, or set autoscaling.maxReplicas to 1")
        .reason(Reason::FieldValueForbidden)
        .field_path(".autoscaling"),
    validation = Rule::new("has(self.backplane) || !has(self.drain)")
        .message("without a backplane there is no other pod that clients could go to one after another, and all are let go of at once: leave drain out, or give backplane.redis")
        .reason(Reason::FieldValueForbidden)
        .field_path(".drain"),
    validation = Rule::new("has(self.backplane) || !has(self.rollout)")
        .message("without a backplane there is one pod, and one more while it is replaced: leave rollout out, or give backplane.redis")
        .reason(Reason::FieldValueForbidden)
        .field_path(".rollout"),
    validation = Rule::new("!has(self.source.direct) || !has(self.source.direct.allowFrom) || (has(self.networkPolicy) && self.networkPolicy.enabled)")
        .message("source.direct.allowFrom does nothing without a NetworkPolicy: set networkPolicy.enabled to true, or leave it out")
        .reason(Reason::FieldValueForbidden)
        .field_path(".source.direct.allowFrom")
)]
pub struct NotificationHubSpec {
    /// How many pods serve: 0 stops the hub, and more than 1 need a backplane. Set it if you want to use `kubectl scale`.
    /// Not with autoscaling. Defaults to `1`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 1000))]
    pub replicas: Option<i32>,

    /// As many pods as are needed, by a HorizontalPodAutoscaler, instead of a number in replicas. It takes pods away
    /// slowly, since their clients have to connect again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub autoscaling: Option<Autoscaling>,

    /// The hub's container image. What is not given is taken from the operator's default image.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image: Option<Image>,

    /// Where notifications come from: exactly one of its fields. It may be changed at any time.
    pub source: Source,

    /// Which tokens the hub accepts: at least one of authority, generate and signingKeys says whose keys sign them.
    pub auth: Auth,

    /// The Service that clients connect through. It has the hub's name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service: Option<PublicService>,

    /// Ways to the hub from outside the cluster. They lead to what clients connect to and to nothing else: notifications
    /// cannot be posted through them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expose: Option<Expose>,

    /// A NetworkPolicy for the hub's pods, which has the hub's name. Clients (port 5000) and whoever collects metrics
    /// (9090) may come from anywhere, senders (5001) from where `source.direct.allowFrom` says; no other port is reached,
    /// and what the pods connect to is not restricted. It is the cluster's network plugin that enforces it: one that
    /// knows no NetworkPolicy lets everything through.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub network_policy: Option<NetworkPolicy>,

    /// By which Prometheus finds the hub's metrics.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub monitoring: Option<Monitoring>,

    /// The installation's id: pushes to a whole installation reach the clients of this one. Defaults to none: such pushes
    /// reach nobody.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(
        length(max = 36),
        regex(pattern = r"^[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}$")
    )]
    pub installation_id: Option<String>,

    /// What connects several replicas, so that a push to one of them reaches the clients of all. Without it there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backplane: Option<Backplane>,

    /// How a pod that goes lets go of its clients. Only with a backplane.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub drain: Option<Drain>,

    /// How pods are replaced when something has changed. Only with a backplane.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rollout: Option<Rollout>,

    /// Clients that were away while something was pushed to them are told to sync when they are back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub catch_up: Option<CatchUp>,

    /// How many clients each pod lets in. Whoever is one too many is answered with 429 or 503 and comes again later.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limits: Option<Limits>,

    /// What pods write of what they do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub log: Option<Log>,

    /// A PodTemplateSpec that is merged over the one the operator builds; lists of named things (containers,
    /// environment, volumes) are merged by name, the hub's container is called `hub`. Selector labels, the container's
    /// name and what the hub and the operator have agreed on (ports, configuration, mounts) are protected: what was
    /// dropped is reported in the condition SpecValid.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "preserved_object")]
    pub pod_template: Option<Value>,
}
