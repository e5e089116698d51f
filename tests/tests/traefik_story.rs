//! A hub behind Traefik, a real controller of Ingresses and of the Gateway API, in a real Kubernetes cluster.

use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use notification_hub_tests::deployed::{folder_update, generated_signer, send};
use notification_hub_tests::ledger::LossTolerance;
use notification_hub_tests::listener::Listener;
use notification_hub_tests::namespace::{self, CLUSTER_TIMEOUT, Namespace};
use notification_hub_tests::third_party_kinds::ThirdPartyKinds;
use notification_hub_tests::token::{self, Signer};
use notification_hub_tests::traefik::{CLASS, GATEWAY_PORTS, INGRESS_PORTS, Traefik, resolve_to_node};
use notification_hub_tests::wait::until;
use notification_hub_tests::workload::Workload;
use notification_hub_tests::{certificate, pages, redis_pod};
use serde_json::{Value, json};
use uuid::Uuid;

const HUB: &str = "vault";

/// The Secret with the certificate of the names of the node.
const CERTIFICATE: &str = "edge-tls";

/// The maximum duration of a delivery while no pod ends.
const MAX_DELAY: Duration = Duration::from_secs(5);

/// Every transport of Microsoft's client, with the protocol that it is tried with.
const TRANSPORTS: [(&str, &str); 3] =
    [("WebSockets", "messagepack"), ("ServerSentEvents", "json"), ("LongPolling", "messagepack")];

/// Returns the hub with a value of `spec.expose`. During a rollout its old pod and its new one need Redis.
fn hub(expose: Value) -> Value {
    let of_redis = |key: &str| json!({"secretKeyRef": {"name": "redis", "key": key}});
    json!({
        "apiVersion": "notificationhub.rs/v1alpha1", "kind": "NotificationHub", "metadata": {"name": HUB},
        "spec": {
            "replicas": 1, "source": {"direct": {}}, "auth": {"generate": {}}, "drain": {"duration": "2s"},
            "backplane": {"redis": {"url": of_redis("url"), "username": "hub", "password": of_redis("password")}},
            "expose": expose,
        },
    })
}

/// Returns a reference to a Gateway for `expose.httpRoute.parentRefs`.
fn parent(gateway: &str) -> Value {
    json!([{"name": gateway}])
}

/// Creates a Gateway with an HTTP and an HTTPS listener for routes of its namespace, and one that accepts no route.
fn create_gateways(namespace: &Namespace) -> Result<()> {
    let listener = |name: &str, port: u16, protocol: &str| json!({"name": name, "port": port, "protocol": protocol});
    let [http, https] = GATEWAY_PORTS;
    let mut secure = listener("https", https, "HTTPS");
    secure["tls"] = json!({"mode": "Terminate", "certificateRefs": [{"name": CERTIFICATE}]});
    let mut closed = listener("http", http, "HTTP");
    closed["allowedRoutes"] =
        json!({"namespaces": {"from": "Selector", "selector": {"matchLabels": {"no": "namespace"}}}});
    for (name, listeners) in [("public", json!([listener("http", http, "HTTP"), secure])), ("closed", json!([closed]))]
    {
        namespace.apply(&json!({
            "apiVersion": "gateway.networking.k8s.io/v1", "kind": "Gateway", "metadata": {"name": name},
            "spec": {"gatewayClassName": CLASS, "listeners": listeners},
        }))?;
    }
    Ok(())
}

/// Creates a route of an administrator to the hub below `/bare`. It strips this prefix together with `/notifications`.
fn create_stripping_route(namespace: &Namespace) -> Result<()> {
    namespace.apply(&json!({
        "apiVersion": "gateway.networking.k8s.io/v1", "kind": "HTTPRoute", "metadata": {"name": "stripping"},
        "spec": {"parentRefs": parent("public"), "rules": [{
            "matches": [{"path": {"type": "PathPrefix", "value": "/bare/notifications"}}],
            "filters": [{"type": "URLRewrite", "urlRewrite": {"path": {"type": "ReplacePrefixMatch", "replacePrefixMatch": "/"}}}],
            "backendRefs": [{"name": HUB, "port": 5000}],
        }]},
    }))
}

/// Creates the Secret with a certificate for a name and its subdomains. Writes the authority of clients to `folder`.
fn create_certificate(namespace: &Namespace, folder: &Path, names: &[&String]) -> Result<()> {
    let names: Vec<String> = names.iter().map(|name| format!("DNS:{name}")).collect();
    certificate::make(folder, &names.join(","))?;
    let path = |name: &str, file: &str| format!("--{name}={}", folder.join(file).display());
    let (certificate, key) = (path("cert", "certificate"), path("key", "key"));
    namespace.kubectl(&["create", "secret", "tls", CERTIFICATE, &certificate, &key]).map(drop)
}

/// The clients and senders of the hub.
struct ProxiedClients<'a> {
    namespace: &'a Namespace,
    signer: Signer,
    authority: &'a Path,
}

impl ProxiedClients<'_> {
    /// Fails unless Microsoft's client receives a push at a URL by every transport. Waits until the URL leads to the hub.
    fn check(&self, url: &str) -> Result<()> {
        let [first, others @ ..] = TRANSPORTS;
        until(&format!("{url} leads to the hub"), CLUSTER_TIMEOUT, || self.check_transport(url, first))?;
        others.into_iter().try_for_each(|transport| self.check_transport(url, transport))
    }

    fn check_transport(&self, url: &str, (transport, protocol): (&str, &str)) -> Result<()> {
        let internal = self.namespace.endpoint("vault-internal", 5001)?;
        let (user, folder) = (Uuid::new_v4().to_string(), Uuid::new_v4().to_string());
        let token = self.signer.sign(&token::user(&user, &[], "ChromeBrowser", "device"))?;
        let mut node = self.namespace.cluster.command("node");
        node.env("NODE_EXTRA_CA_CERTS", self.authority);
        let client = Listener::connect(node, url, &token, protocol, &["--negotiate", "--transport", transport])
            .with_context(|| format!("{url} by {transport}"))?;
        let internal_token = self.signer.sign(&token::internal())?;
        let sent = send(self.namespace, &internal, &internal_token, &folder_update(&user, &folder))?;
        ensure!(sent.status == 200, "the push was answered {}", sent.status);
        let id = |push: &Value| push.pointer("/payload/id").or_else(|| push.pointer("/Payload/Id")).cloned();
        client
            .notification(|push| id(push).is_some_and(|id| id == *folder))
            .with_context(|| format!("{url} by {transport}"))?;
        client.stop()
    }
}

#[test]
fn hub_behind_traefik_serves_every_transport() {
    namespace::with_namespace("traefik", |namespace| {
        if namespace.cluster.is_current_context() {
            return Ok(());
        }
        let kinds = ThirdPartyKinds::reserve(namespace.cluster);
        kinds.install()?;
        let traefik = Traefik::start(namespace)?;
        let check = check_traefik(namespace, &traefik);
        check.with_context(|| traefik.printed())
    });
}

fn check_traefik(namespace: &Namespace, traefik: &Traefik) -> Result<()> {
    let edge = resolve_to_node(namespace, traefik, "edge", &INGRESS_PORTS)?;
    let gateway = resolve_to_node(namespace, traefik, "gateway", &GATEWAY_PORTS)?;
    let folder = tempfile::tempdir()?;
    create_certificate(namespace, folder.path(), &[&edge, &gateway])?;

    redis_pod::start(namespace)?;
    namespace.apply(&hub(json!({"ingress": {"className": CLASS, "host": edge}})))?;
    namespace.wait_ready(HUB)?;
    let message = namespace.wait_condition(HUB, "Exposed", "True", "Exposed")?;
    ensure!(message.contains(&traefik.node.to_string()), "{message}");
    let signer = generated_signer(namespace, HUB)?;
    let clients = ProxiedClients { namespace, signer, authority: &folder.path().join("authority") };
    clients.check(&format!("http://{edge}:{}/notifications", INGRESS_PORTS[0]))?;
    // Traefik serves an Ingress with a certificate by HTTPS alone.
    namespace.apply(&hub(json!({"ingress": {"className": CLASS, "host": edge, "tlsSecretName": CERTIFICATE}})))?;
    clients.check(&format!("https://{edge}:{}/notifications", INGRESS_PORTS[1]))?;

    // Without a Gateway of this name, no controller answers.
    let routed = |gateway_name: &str| {
        namespace.apply(&hub(json!({"httpRoute": {"parentRefs": parent(gateway_name), "hostnames": [gateway]}})))
    };
    routed("nowhere")?;
    let message = namespace.wait_condition(HUB, "Exposed", "False", "RoutePending")?;
    ensure!(message.contains("nowhere"), "{message}");
    create_gateways(namespace)?;
    routed("closed")?;
    let message = namespace.wait_condition(HUB, "Exposed", "False", "RouteNotAccepted")?;
    ensure!(message.contains("closed") && message.contains("NotAllowedByListeners"), "{message}");
    routed("public")?;
    namespace.wait_condition(HUB, "Exposed", "True", "Exposed")?;
    create_stripping_route(namespace)?;
    let url = format!("http://{gateway}:{}", GATEWAY_PORTS[0]);
    clients.check(&format!("{url}/bare/notifications"))?;
    clients.check(&format!("{url}/notifications"))?;
    clients.check(&format!("https://{gateway}:{}/notifications", GATEWAY_PORTS[1]))?;

    check_documented_routes(&clients, &edge, &gateway)?;
    check_rollout(namespace, traefik, &clients.signer)
}

/// Applies the Ingress and the HTTPRoute of `docs/bitwarden.md` for a hub beside Bitwarden's chart, with the names of this test.
fn check_documented_routes(clients: &ProxiedClients, edge: &str, gateway: &str) -> Result<()> {
    let page = pages::read("docs/bitwarden.md")?;
    let block = |name: &str| -> Result<Value> {
        let mut object: Value = serde_saphyr::from_str(pages::block(&page, name)?)?;
        object["metadata"]["namespace"] = clients.namespace.name.clone().into();
        Ok(object)
    };
    // The hub has neither of its own.
    let mut bare = hub(Value::Null);
    bare["spec"].as_object_mut().context("no spec")?.remove("expose");
    clients.namespace.apply(&bare)?;
    clients.namespace.wait_condition(HUB, "Exposed", "False", "NotRequested")?;
    let mut ingress = block("route by Ingress")?;
    ingress["spec"]["ingressClassName"] = CLASS.into();
    ingress["spec"]["rules"][0]["host"] = edge.into();
    clients.namespace.apply(&ingress)?;
    let mut route = block("route by HTTPRoute")?;
    route["spec"]["hostnames"] = json!([gateway]);
    clients.namespace.apply(&route)?;
    clients.check(&format!("http://{edge}:{}/notifications", INGRESS_PORTS[0]))?;
    clients.check(&format!("http://{gateway}:{}/notifications", GATEWAY_PORTS[0]))
}

/// Fails if a rollout of the hub behind an Ingress loses a push of a client that reconnects.
fn check_rollout(namespace: &Namespace, traefik: &Traefik, signer: &Signer) -> Result<()> {
    // The clients of the workload use another path and host than those of the hub's own Ingress.
    namespace.apply(&json!({
        "apiVersion": "networking.k8s.io/v1", "kind": "Ingress", "metadata": {"name": "all-paths"},
        "spec": {"ingressClassName": CLASS, "rules": [{"http": {"paths": [{
            "path": "/", "pathType": "Prefix", "backend": {"service": {"name": HUB, "port": {"number": 5000}}},
        }]}}]},
    }))?;
    let internal = namespace.endpoint("vault-internal", 5001)?;
    let address = traefik.address(INGRESS_PORTS[0]);
    let senders = Arc::new(Mutex::new(vec![internal.address]));
    let workload = namespace.cluster.run_inside(|| Workload::start(signer, address, senders, 40, 100))?;
    workload.wait_received(200)?;
    namespace.kubectl(&["rollout", "restart", "deployment/vault"])?;
    namespace.kubectl(&["rollout", "status", "deployment/vault", "--timeout=120s"])?;
    workload.wait_received(200)?;
    workload.wait_reconnected()?;
    workload.finish(MAX_DELAY, LossTolerance::None).map(drop)
}
