//! The Services for clients, senders and metrics. No I/O.

use k8s_openapi::api::core::v1::{Service, ServiceSpec};

use crate::build::{metadata, ports};
use crate::model::{ValidatedHub, labels};

/// Returns the Service for clients.
pub(in crate::build) fn public(hub: &ValidatedHub) -> Service {
    let spec = &hub.networking.service;
    let type_ = Some(spec.type_.unwrap_or_default().as_str().to_owned());
    let metadata = metadata::for_child_with(hub, hub.name.as_str(), &spec.labels, &spec.annotations);
    let families = spec.ip_families.iter().map(|family| family.as_str().to_owned()).collect();
    let service_spec = ServiceSpec {
        type_,
        ip_family_policy: spec.ip_family_policy.map(|policy| policy.as_str().to_owned()),
        ip_families: Some(families).filter(|families: &Vec<_>| !families.is_empty()),
        ..cluster_ip(ports::PUBLIC)
    };
    Service { metadata, ..service(hub, hub.name.to_string(), service_spec) }
}

/// Returns the Service for senders, which is for use inside the cluster only.
pub(in crate::build) fn internal(hub: &ValidatedHub) -> Service {
    service(hub, hub.name.internal_service(), cluster_ip(ports::INTERNAL))
}

/// Returns the headless Service for metrics. It includes pods that are not ready.
pub(in crate::build) fn metrics(hub: &ValidatedHub) -> Service {
    let headless = ServiceSpec {
        cluster_ip: Some("None".to_owned()),
        publish_not_ready_addresses: Some(true),
        ..cluster_ip(ports::ADMIN)
    };
    service(hub, hub.name.metrics_service(), headless)
}

/// Returns the spec of a ClusterIP Service with one port.
fn cluster_ip(port: i32) -> ServiceSpec {
    ServiceSpec {
        type_: Some("ClusterIP".to_owned()),
        ports: Some(ports::service_ports(port)),
        ..ServiceSpec::default()
    }
}

/// Returns a Service that selects the pods of the hub.
fn service(hub: &ValidatedHub, name: String, spec: ServiceSpec) -> Service {
    Service {
        metadata: metadata::for_child(hub, name),
        spec: Some(ServiceSpec { selector: Some(labels::selector(&hub.name)), ..spec }),
        ..Service::default()
    }
}
