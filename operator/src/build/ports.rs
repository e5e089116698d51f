//! Ports of the hub's container and of its Services. No I/O.

use k8s_openapi::api::core::v1::{ContainerPort, ServicePort};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

pub(super) use crate::model::ports::{ADMIN, INTERNAL, PUBLIC};
use crate::model::source::Source;

/// Paths on [`PUBLIC`] that an Ingress or HTTPRoute forwards, without rewriting.
pub(super) const PUBLIC_PATHS: [&str; 2] = ["/notifications/hub", "/notifications/anonymous-hub"];

/// Name of [`ADMIN`].
pub(super) const ADMIN_NAME: &str = "admin";

/// Name and number of each port of the hub's container and of its Services.
pub(super) const ALL: [(&str, i32); 3] = [("http", PUBLIC), ("send", INTERNAL), (ADMIN_NAME, ADMIN)];

/// The `appProtocol` of [`PUBLIC`]. Some gateways forward WebSockets only to such a port. It serves other HTTP requests, too.
const WEBSOCKETS: &str = "kubernetes.io/ws";

/// The `appProtocol` of the other ports. A service mesh would guess the protocol by the name or the first bytes otherwise.
const HTTP: &str = "http";

/// Returns the ports of the hub's container. [`INTERNAL`] is among them only if the source is direct.
pub(super) fn container_ports(source: &Source) -> Vec<ContainerPort> {
    let port = |(name, number): (&str, i32)| ContainerPort {
        name: Some(name.to_owned()),
        container_port: number,
        protocol: Some("TCP".to_owned()),
        ..ContainerPort::default()
    };
    ALL.into_iter().filter(|(_, number)| source.is_direct() || *number != INTERNAL).map(port).collect()
}

/// Returns the port of a Service. It targets the port of the container with the same name.
pub(super) fn service_ports(number: i32) -> Vec<ServicePort> {
    let ports = ALL.iter().filter(|(_, each)| *each == number);
    let port = |(name, number): &(&str, i32)| ServicePort {
        app_protocol: Some(if *number == PUBLIC { WEBSOCKETS } else { HTTP }.to_owned()),
        name: Some((*name).to_owned()),
        port: *number,
        protocol: Some("TCP".to_owned()),
        target_port: Some(IntOrString::String((*name).to_owned())),
        ..ServicePort::default()
    };
    ports.map(port).collect()
}
