//! The permissions that the operator needs, each with its reason. The chart's roles grant the same ones. A test compares
//! this list with the calls that the operator makes. No I/O.

/// Namespaces in which a permission is needed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// Every watched namespace, by a ClusterRole or by a Role in each.
    Watched,
    /// The operator's own namespace.
    Own,
}

/// Permission for verbs on a resource.
#[derive(Clone, Copy, Debug)]
pub struct Permission {
    /// The namespaces.
    pub scope: Scope,
    /// API group, or an empty text for the core group.
    pub group: &'static str,
    /// Resource in plural, with its subresource.
    pub resource: &'static str,
    /// The verbs.
    pub verbs: &'static [&'static str],
    /// What the operator uses the permission for.
    pub reason: &'static str,
}

/// Verbs on a kind of child that is never deleted.
const PERMANENT_CHILD: &[&str] = &["get", "list", "watch", "create", "patch"];

/// Verbs on a kind of child that is deleted when the spec does not need it any more.
const DELETABLE_CHILD: &[&str] = &["get", "list", "watch", "create", "patch", "delete"];

/// Every permission that the operator needs.
pub const PERMISSIONS: &[Permission] = &[
    Permission {
        scope: Scope::Watched,
        group: "notificationhub.rs",
        resource: "notificationhubs",
        verbs: &["list", "watch"],
        reason: "Finds the NotificationHubs to reconcile.",
    },
    Permission {
        scope: Scope::Watched,
        group: "notificationhub.rs",
        resource: "notificationhubs/status",
        verbs: &["patch"],
        reason: "Writes the status of NotificationHubs.",
    },
    Permission {
        scope: Scope::Watched,
        group: "apps",
        resource: "deployments",
        verbs: PERMANENT_CHILD,
        reason: "Runs the pods of a hub. get checks the ownership before a write, patch is server-side apply.",
    },
    Permission {
        scope: Scope::Watched,
        group: "",
        resource: "serviceaccounts",
        verbs: PERMANENT_CHILD,
        reason: "Creates the identity of a hub's pods, which has no permissions.",
    },
    Permission {
        scope: Scope::Watched,
        group: "",
        resource: "configmaps",
        verbs: PERMANENT_CHILD,
        reason: "Stores the log level of a hub, which changes without a restart.",
    },
    Permission {
        scope: Scope::Watched,
        group: "",
        resource: "services",
        verbs: DELETABLE_CHILD,
        reason: "Leads clients, senders and Prometheus to a hub. delete is for the Service of senders after a change to a queue.",
    },
    Permission {
        scope: Scope::Watched,
        group: "",
        resource: "secrets",
        verbs: DELETABLE_CHILD,
        reason: "get checks the values that a spec refers to. create, patch and delete are for generated keys. Watches read metadata only.",
    },
    Permission {
        scope: Scope::Watched,
        group: "autoscaling",
        resource: "horizontalpodautoscalers",
        verbs: DELETABLE_CHILD,
        reason: "Scales a hub. delete is for a hub that is not autoscaled any more.",
    },
    Permission {
        scope: Scope::Watched,
        group: "policy",
        resource: "poddisruptionbudgets",
        verbs: DELETABLE_CHILD,
        reason: "Limits how many pods of a hub are evicted at once. delete is for a hub with one pod at most.",
    },
    Permission {
        scope: Scope::Watched,
        group: "",
        resource: "pods",
        verbs: &["list"],
        reason: "Finds the pods of a hub, to scrape their number of clients.",
    },
    Permission {
        scope: Scope::Watched,
        group: "networking.k8s.io",
        resource: "ingresses",
        verbs: DELETABLE_CHILD,
        reason: "Exposes a hub outside the cluster if expose.ingress is set.",
    },
    Permission {
        scope: Scope::Watched,
        group: "networking.k8s.io",
        resource: "networkpolicies",
        verbs: DELETABLE_CHILD,
        reason: "Restricts connections to a hub's pods if networkPolicy is enabled.",
    },
    Permission {
        scope: Scope::Watched,
        group: "gateway.networking.k8s.io",
        resource: "httproutes",
        verbs: DELETABLE_CHILD,
        reason: "Exposes a hub outside the cluster if expose.httpRoute is set.",
    },
    Permission {
        scope: Scope::Watched,
        group: "monitoring.coreos.com",
        resource: "servicemonitors",
        verbs: DELETABLE_CHILD,
        reason: "Makes Prometheus scrape a hub if monitoring.serviceMonitor is enabled.",
    },
    Permission {
        scope: Scope::Watched,
        group: "monitoring.coreos.com",
        resource: "podmonitors",
        verbs: DELETABLE_CHILD,
        reason: "Makes Prometheus scrape a hub if monitoring.podMonitor is enabled.",
    },
    Permission {
        scope: Scope::Watched,
        group: "keda.sh",
        resource: "scaledobjects",
        verbs: DELETABLE_CHILD,
        reason: "Scales a hub by KEDA if autoscaling.keda is set.",
    },
    Permission {
        scope: Scope::Watched,
        group: "events.k8s.io",
        resource: "events",
        verbs: &["create", "patch"],
        reason: "Reports changes of conditions. patch counts repeated Events.",
    },
    Permission {
        scope: Scope::Own,
        group: "coordination.k8s.io",
        resource: "leases",
        verbs: &["get", "create", "update"],
        reason: "Elects the operator that writes. Not needed with --leader-election=false.",
    },
];
