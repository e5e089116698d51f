//! The Ingress, which exposes the hub outside the cluster. No I/O.

use k8s_openapi::api::networking::v1::{
    HTTPIngressPath, HTTPIngressRuleValue, Ingress, IngressBackend, IngressRule, IngressServiceBackend, IngressSpec,
    IngressTLS, ServiceBackendPort,
};
use notification_hub_crds::v1alpha1::ExposeIngress;

use crate::build::{metadata, ports};
use crate::model::ValidatedHub;

/// Returns the Ingress of `expose.ingress`.
pub(in crate::build) fn build(hub: &ValidatedHub, spec: &ExposeIngress) -> Ingress {
    let backend = IngressBackend {
        service: Some(IngressServiceBackend {
            name: hub.name.to_string(),
            port: Some(ServiceBackendPort { number: Some(ports::PUBLIC), ..ServiceBackendPort::default() }),
        }),
        ..IngressBackend::default()
    };
    let path = |path: &str| HTTPIngressPath {
        path: Some(path.to_owned()),
        path_type: "Prefix".to_owned(),
        backend: backend.clone(),
    };
    let rule = IngressRule {
        host: spec.host.clone(),
        http: Some(HTTPIngressRuleValue { paths: ports::PUBLIC_PATHS.map(path).into() }),
    };
    let tls = spec.tls_secret_name.as_ref().map(|secret| IngressTLS {
        hosts: spec.host.clone().map(|host| vec![host]),
        secret_name: Some(secret.clone()),
    });
    Ingress {
        metadata: metadata::for_child_with(hub, hub.name.as_str(), &spec.labels, &spec.annotations),
        spec: Some(IngressSpec {
            ingress_class_name: spec.class_name.clone(),
            rules: Some(vec![rule]),
            tls: tls.map(|tls| vec![tls]),
            ..IngressSpec::default()
        }),
        ..Ingress::default()
    }
}
