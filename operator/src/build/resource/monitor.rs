//! ServiceMonitor and PodMonitor, with which Prometheus finds the metrics of every pod. No I/O.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use notification_hub_crds::v1alpha1::Monitor;

use crate::build::{metadata, ports};
use crate::model::{ValidatedHub, labels};
use crate::third_party::{Endpoint, PodMonitor, PodMonitorSpec, ServiceMonitor, ServiceMonitorSpec};

/// Returns the ServiceMonitor of the metrics Service, the only Service of the hub with a port of that name.
pub(in crate::build) fn service_monitor(hub: &ValidatedHub, asked: &Monitor) -> ServiceMonitor {
    ServiceMonitor {
        metadata: metadata::for_child_with(hub, hub.name.as_str(), &asked.labels, &BTreeMap::new()),
        spec: ServiceMonitorSpec { selector: selector(hub), endpoints: vec![endpoint(asked)] },
    }
}

pub(in crate::build) fn pod_monitor(hub: &ValidatedHub, asked: &Monitor) -> PodMonitor {
    PodMonitor {
        metadata: metadata::for_child_with(hub, hub.name.as_str(), &asked.labels, &BTreeMap::new()),
        spec: PodMonitorSpec { selector: selector(hub), pod_metrics_endpoints: vec![endpoint(asked)] },
    }
}

fn selector(hub: &ValidatedHub) -> LabelSelector {
    LabelSelector { match_labels: Some(labels::selector(&hub.name)), ..LabelSelector::default() }
}

fn endpoint(asked: &Monitor) -> Endpoint {
    Endpoint { port: ports::ADMIN_NAME.to_owned(), path: "/metrics".to_owned(), interval: asked.interval.clone() }
}
