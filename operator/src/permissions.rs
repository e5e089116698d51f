//! The permissions that the operator needs, each with its reason. The chart's roles say the same. A test compares this list
//! with the calls that the operator makes. No I/O.

/// Where a permission has to hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// In every namespace that is watched (a ClusterRole, or a Role in each).
    Watched,
    /// In the operator's own namespace.
    Own,
}

/// Some verbs on a resource.
#[derive(Clone, Copy, Debug)]
pub struct Permission {
    /// Where.
    pub scope: Scope,
    /// API group; empty for the core.
    pub group: &'static str,
    /// Resource, with its subresource.
    pub resource: &'static str,
    /// What is done with it.
    pub verbs: &'static [&'static str],
    /// Why the operator needs it, in a sentence.
    pub reason: &'static str,
}

/// Verbs on a kind of child that every hub has.
const PERMANENT_CHILD: &[&str] = &["get", "list", "watch", "create", "patch"];

/// Verbs on a kind of child that a hub may stop having.
const DELETABLE_CHILD: &[&str] = &["get", "list", "watch", "create", "patch", "delete"];

/// Everything that the operator does.
pub const PERMISSIONS: &[Permission] = &[
    Permission {
        scope: Scope::Watched,
        group: "notificationhub.rs",
        resource: "notificationhubs",
        verbs: &["list", "watch"],
        reason: "To learn which hubs are wanted.",
    },
    Permission {
        scope: Scope::Watched,
        group: "notificationhub.rs",
        resource: "notificationhubs/status",
        verbs: &["patch"],
        reason: "To tell how each of them is.",
    },
    Permission {
        scope: Scope::Watched,
        group: "apps",
        resource: "deployments",
        verbs: PERMANENT_CHILD,
        reason: "The pods of a hub; get to see whose it is before anything is written, patch is server-side apply.",
    },
    Permission {
        scope: Scope::Watched,
        group: "",
        resource: "serviceaccounts",
        verbs: PERMANENT_CHILD,
        reason: "The identity of a hub's pods, which has no rights.",
    },
    Permission {
        scope: Scope::Watched,
        group: "",
        resource: "configmaps",
        verbs: PERMANENT_CHILD,
        reason: "The log level of a hub, which changes without a restart.",
    },
    Permission {
        scope: Scope::Watched,
        group: "",
        resource: "services",
        verbs: DELETABLE_CHILD,
        reason: "The ways to a hub for clients, senders and metrics; delete for the senders' when they put notifications on a queue instead.",
    },
    Permission {
        scope: Scope::Watched,
        group: "",
        resource: "secrets",
        verbs: DELETABLE_CHILD,
        reason: "Get to check the keys, addresses and passwords that a spec names; create, patch and delete for the generated keys; watched by metadata only.",
    },
    Permission {
        scope: Scope::Watched,
        group: "autoscaling",
        resource: "horizontalpodautoscalers",
        verbs: DELETABLE_CHILD,
        reason: "Who decides how many pods a hub has; delete for a hub whose spec says it.",
    },
    Permission {
        scope: Scope::Watched,
        group: "policy",
        resource: "poddisruptionbudgets",
        verbs: DELETABLE_CHILD,
        reason: "How many pods of a hub may be taken from it at once; delete for a hub that has no more than one.",
    },
    Permission {
        scope: Scope::Watched,
        group: "",
        resource: "pods",
        verbs: &["list"],
        reason: "To ask a hub's pods how many clients they have.",
    },
    Permission {
        scope: Scope::Watched,
        group: "networking.k8s.io",
        resource: "ingresses",
        verbs: DELETABLE_CHILD,
        reason: "The way to a hub from outside that expose.ingress asks for.",
    },
    Permission {
        scope: Scope::Watched,
        group: "networking.k8s.io",
        resource: "networkpolicies",
        verbs: DELETABLE_CHILD,
        reason: "Who may reach a hub's pods, where networkPolicy asks for it.",
    },
    Permission {
        scope: Scope::Watched,
        group: "gateway.networking.k8s.io",
        resource: "httproutes",
        verbs: DELETABLE_CHILD,
        reason: "The way to a hub from outside that expose.httpRoute asks for.",
    },
    Permission {
        scope: Scope::Watched,
        group: "monitoring.coreos.com",
        resource: "servicemonitors",
        verbs: DELETABLE_CHILD,
        reason: "By which Prometheus finds a hub's metrics, where monitoring.serviceMonitor asks for it.",
    },
    Permission {
        scope: Scope::Watched,
        group: "monitoring.coreos.com",
        resource: "podmonitors",
        verbs: DELETABLE_CHILD,
        reason: "The same, where monitoring.podMonitor asks for it.",
    },
    Permission {
        scope: Scope::Watched,
        group: "keda.sh",
        resource: "scaledobjects",
        verbs: DELETABLE_CHILD,
        reason: "Who decides how many pods a hub has, where autoscaling.keda asks for it.",
    },
    Permission {
        scope: Scope::Watched,
        group: "events.k8s.io",
        resource: "events",
        verbs: &["create", "patch"],
        reason: "To tell of changes; patch counts repetitions.",
    },
    Permission {
        scope: Scope::Own,
        group: "coordination.k8s.io",
        resource: "leases",
        verbs: &["get", "create", "update"],
        reason: "To have one operator write at a time; not needed with --leader-election=false.",
    },
];
