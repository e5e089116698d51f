//! The three Services: for clients, for senders, for metrics. No I/O.

use k8s_openapi::api::core::v1::{Service, ServiceSpec};

use crate::build::{metadata, ports};
use crate::model::{ValidatedHub, labels};

/// The Service that clients connect through.
pub(in crate::build) fn public(hub: &ValidatedHub) -> Service {
    let asked = &hub.networking.service;
    let type_ = Some(asked.type_.unwrap_or_default().as_str().to_owned());
    let metadata = metadata::for_child_with(hub, hub.name.as_str(), &asked.labels, &asked.annotations);
    Service { metadata, ..service(hub, hub.name.to_string(), ServiceSpec { type_, ..cluster_ip(ports::PUBLIC) }) }
}

/// The Service that senders post to. Nothing outside the cluster should lead here.
pub(in crate::build) fn internal(hub: &ValidatedHub) -> Service {
    service(hub, hub.name.internal_service(), cluster_ip(ports::INTERNAL))
}

/// The headless Service by which every pod can be scraped, ready or not.
pub(in crate::build) fn metrics(hub: &ValidatedHub) -> Service {
    let headless = ServiceSpec {
        cluster_ip: Some("None".to_owned()),
        publish_not_ready_addresses: Some(true),
        ..cluster_ip(ports::ADMIN)
    };
    service(hub, hub.name.metrics_service(), headless)
}

fn cluster_ip(port: i32) -> ServiceSpec {
    ServiceSpec {
        type_: Some("ClusterIP".to_owned()),
        ports: Some(ports::service_ports(port)),
        ..ServiceSpec::default()
    }
}

fn service(hub: &ValidatedHub, name: String, spec: ServiceSpec) -> Service {
    Service {
        metadata: metadata::for_child(hub, name),
        spec: Some(ServiceSpec { selector: Some(labels::selector(&hub.name)), ..spec }),
        ..Service::default()
    }
}
