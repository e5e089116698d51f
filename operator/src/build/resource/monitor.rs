//! The ServiceMonitor and the PodMonitor, by which Prometheus finds the metrics of every pod. No I/O.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use notification_hub_crds::v1alpha1::Monitor;

use crate::build::{metadata, ports};
use crate::model::{ValidatedHub, labels};
use crate::third_party::{Endpoint, PodMonitor, PodMonitorSpec, ServiceMonitor, ServiceMonitorSpec};

/// Returns the ServiceMonitor. It matches the metrics Service, which alone has a port with the name of the admin port.
pub(in crate::build) fn service_monitor(hub: &ValidatedHub, spec: &Monitor) -> ServiceMonitor {
    ServiceMonitor {
        metadata: metadata::for_child_with(hub, hub.name.as_str(), &spec.labels, &BTreeMap::new()),
        spec: ServiceMonitorSpec { selector: selector(hub), endpoints: vec![endpoint(spec)] },
    }
}

/// Returns the PodMonitor.
pub(in crate::build) fn pod_monitor(hub: &ValidatedHub, spec: &Monitor) -> PodMonitor {
    PodMonitor {
        metadata: metadata::for_child_with(hub, hub.name.as_str(), &spec.labels, &BTreeMap::new()),
        spec: PodMonitorSpec { selector: selector(hub), pod_metrics_endpoints: vec![endpoint(spec)] },
    }
}

fn selector(hub: &ValidatedHub) -> LabelSelector {
    LabelSelector { match_labels: Some(labels::selector(&hub.name)), ..LabelSelector::default() }
}

fn endpoint(spec: &Monitor) -> Endpoint {
    Endpoint { port: ports::ADMIN_NAME.to_owned(), path: "/metrics".to_owned(), interval: spec.interval.clone() }
}
