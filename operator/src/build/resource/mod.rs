//! One file per kind of object. No I/O.

pub(super) mod config_map;
pub(super) mod deployment;
pub(super) mod horizontal_pod_autoscaler;
pub(super) mod http_route;
pub(super) mod ingress;
pub(super) mod monitor;
pub(super) mod network_policy;
pub(super) mod pod_disruption_budget;
pub(super) mod scaled_object;
pub(super) mod secret;
pub(super) mod service;
pub(super) mod service_account;
