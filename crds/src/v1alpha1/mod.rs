//! Version `v1alpha1` of the API: the resource, its spec, its status, and the validation rules.

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
pub use service::{IpFamily, IpFamilyPolicy, PublicService, ServiceType};
pub use source::{Direct, Source};
pub use status::{KeyTimes, NotificationHubStatus, SourceKind};

use kube::{CustomResource, KubeSchema};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::schema::preserved_object;

/// Specification of the desired behavior of the hub.
#[derive(CustomResource, KubeSchema, Clone, Debug, Deserialize, Serialize, PartialEq)]
#[kube(
    group = "notificationhub.rs",
    version = "v1alpha1",
    kind = "NotificationHub",
    plural = "notificationhubs",
    shortname = "nhub",
    namespaced,
    doc = "NotificationHub runs a notification hub: pods that clients connect to over SignalR, and that deliver pushes to them.",
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
        description = "Status of the condition Ready"
    ),
    printcolumn(
        name = "Replicas",
        type_ = "integer",
        json_path = ".status.replicas",
        description = "Number of existing pods"
    ),
    printcolumn(
        name = "Source",
        type_ = "string",
        json_path = ".status.source",
        description = "Source of notifications"
    ),
    printcolumn(
        name = "Connections",
        type_ = "integer",
        json_path = ".status.connections",
        description = "Number of connections on all pods"
    ),
    printcolumn(
        name = "Age",
        type_ = "date",
        json_path = ".metadata.creationTimestamp",
        description = "Time since the resource was created"
    ),
    printcolumn(
        name = "URL",
        type_ = "string",
        json_path = ".status.url",
        description = "URL that clients inside the cluster connect to",
        priority = 1
    ),
    printcolumn(
        name = "Reason",
        type_ = "string",
        json_path = ".status.conditions[?(@.type==\"Ready\")].reason",
        description = "Reason of the condition Ready",
        priority = 1
    ),
    validation = Rule::new("size(self.metadata.name) <= 40")
        .message("metadata.name must be no more than 40 characters, because the names of the hub's Services are derived from it"),
    validation = Rule::new("self.metadata.name.matches('^[a-z]([-a-z0-9]*[a-z0-9])?$')")
        .message("metadata.name must consist of lowercase letters, digits, and '-', start with a letter, and end with a letter or a digit")
)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("has(self.backplane) || !has(self.replicas) || self.replicas <= 1")
        .message("replicas: more than one replica requires a backplane; set backplane.redis, or set replicas to 0 or 1")
        .reason(Reason::FieldValueForbidden)
        .field_path(".replicas"),
    validation = Rule::new("!has(self.replicas) || !has(self.autoscaling)")
        .message("replicas may not be specified together with autoscaling; remove one of them (existing pods are kept)")
        .reason(Reason::FieldValueForbidden)
        .field_path(".replicas"),
    validation = Rule::new("has(self.backplane) || !has(self.autoscaling) || self.autoscaling.maxReplicas <= 1")
        .message("autoscaling.maxReplicas: more than one replica requires a backplane; set backplane.redis, or set autoscaling.maxReplicas to 1")
        .reason(Reason::FieldValueForbidden)
        .field_path(".autoscaling"),
    validation = Rule::new("has(self.backplane) || !has(self.drain)")
        .message("drain may not be specified without a backplane; set backplane.redis, or remove drain")
        .reason(Reason::FieldValueForbidden)
        .field_path(".drain"),
    validation = Rule::new("has(self.backplane) || !has(self.rollout)")
        .message("rollout may not be specified without a backplane; set backplane.redis, or remove rollout")
        .reason(Reason::FieldValueForbidden)
        .field_path(".rollout"),
    validation = Rule::new("!has(self.source.direct) || !has(self.source.direct.allowFrom) || (has(self.networkPolicy) && self.networkPolicy.enabled)")
        .message("source.direct.allowFrom requires a NetworkPolicy; set networkPolicy.enabled to true, or remove source.direct.allowFrom")
        .reason(Reason::FieldValueForbidden)
        .field_path(".source.direct.allowFrom")
)]
pub struct NotificationHubSpec {
    /// replicas is the number of pods, from 0 to 1000. 0 stops the hub. More than 1 requires a backplane. It may not be
    /// specified together with autoscaling. To use `kubectl scale`, set it explicitly. Defaults to `1`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 1000))]
    pub replicas: Option<i32>,

    /// autoscaling scales the pods with a HorizontalPodAutoscaler or with KEDA. It may not be specified together with
    /// replicas. Pods are added immediately. They are removed slowly, because the clients of a removed pod must
    /// reconnect.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub autoscaling: Option<Autoscaling>,

    /// image is the container image of the hub. Unset fields are those of the operator's default image.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image: Option<Image>,

    /// source is the source of notifications. Exactly one of direct and azureQueue must be set. It may be changed at
    /// any time.
    pub source: Source,

    /// auth configures which tokens the hub accepts. At least one of authority, generate, and signingKeys must be set:
    /// they provide the keys that verify tokens.
    pub auth: Auth,

    /// service configures the Service that clients connect to. The Service has the name of the hub.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service: Option<PublicService>,

    /// expose makes the hub reachable from outside the cluster. At least one of ingress and httpRoute must be set. Only
    /// the paths for clients are exposed. Senders cannot post notifications through them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expose: Option<Expose>,

    /// networkPolicy restricts connections to the hub's pods with a NetworkPolicy that has the name of the hub. Any
    /// peer may connect to the ports for clients (5000) and for metrics (9090). Only the peers in
    /// source.direct.allowFrom may connect to the port for senders (5001). All other ports are closed. Connections that
    /// the pods open are not restricted. The policy has no effect if the cluster's network plugin does not support
    /// NetworkPolicy.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub network_policy: Option<NetworkPolicy>,

    /// monitoring creates objects by which the Prometheus Operator finds the hub's metrics. Each of them covers the
    /// metrics of every pod, so one is enough. If the cluster does not serve their kind, the operator creates them as
    /// soon as the cluster does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub monitoring: Option<Monitoring>,

    /// installationID is the ID of the Bitwarden installation, a UUID. Pushes to this installation reach all clients of
    /// the hub. Without it, pushes to an installation reach no client. Defaults to none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(
        length(max = 36),
        regex(pattern = r"^[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}$")
    )]
    #[serde(rename = "installationID")]
    pub installation_id: Option<String>,

    /// backplane connects the replicas of the hub, so that a push to one replica reaches the clients of all. It is
    /// required for more than one replica.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backplane: Option<Backplane>,

    /// drain configures how a pod closes its connections before it ends. Requires backplane.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub drain: Option<Drain>,

    /// rollout configures how pods are replaced after a change. Requires backplane.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rollout: Option<Rollout>,

    /// catchUp configures catch-up: the hub makes a client sync if it missed a push while it was disconnected.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub catch_up: Option<CatchUp>,

    /// limits are limits of connections on each pod. Unset fields mean no limit. The hub rejects a client above a limit
    /// with the status 429 or 503 and the header `Retry-After`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limits: Option<Limits>,

    /// log configures the logs of the pods.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub log: Option<Log>,

    /// podTemplate is a PodTemplateSpec that is merged over the pod template of the operator. Lists of named items,
    /// such as containers, environment variables, and volumes, are merged by name. The container of the hub has the
    /// name `hub`. Some fields are protected: the labels of the selector, and the ports, configuration, and mounts that
    /// the operator manages. The operator drops unknown and protected fields, and names them in the condition
    /// SpecValid.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "preserved_object")]
    pub pod_template: Option<Value>,
}
