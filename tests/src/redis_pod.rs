//! A Redis in a pod without persistence, and the Secret with its address and credentials.

use anyhow::Result;
use serde_json::json;
use uuid::Uuid;

use crate::certificate;
use crate::namespace::Namespace;
use crate::redis::ACL_RULES;
use crate::{install, secrets, service_pod};

const PORT: u16 = 6379;

/// The name of the pod, its Service and its Secret.
const NAME: &str = "redis";

/// Starts the pod `redis`. At most one in a namespace. The Secret of this name has the entries `url` and `password`. The user is
/// `hub`.
pub fn start(namespace: &Namespace) -> Result<()> {
    configure(namespace, "redis", &ACL_RULES, &[], &format!("port {PORT}"))?;
    start_pod(namespace)
}

/// Starts the pod with TLS, for hubs with a channel prefix. The Secret also has the CA certificate as `ca`.
pub fn start_with_tls(namespace: &Namespace, prefix: &str) -> Result<()> {
    let files = tempfile::tempdir()?;
    certificate::make(files.path(), &format!("DNS:{}", host(namespace)))?;
    let read = |name: &str| std::fs::read_to_string(files.path().join(name));
    let (key, certificate, authority) = (read("key")?, read("certificate")?, read("authority")?);
    let (channels, keys) = (format!("&{prefix}*"), format!("~{{{prefix}:catch-up}}:*"));
    let restrict = |rule: &'static str| match rule {
        "&*" => channels.as_str(),
        "~{*:catch-up}:*" => keys.as_str(),
        other => other,
    };
    let files = [("key", key), ("certificate", certificate), ("ca", authority)];
    let listen = format!(
        "port 0\ntls-port {PORT}\ntls-auth-clients no\ntls-cert-file /etc/redis/certificate\n\
         tls-key-file /etc/redis/key\ntls-ca-cert-file /etc/redis/ca"
    );
    configure(namespace, "rediss", &ACL_RULES.map(restrict), &files, &listen)?;
    start_pod(namespace)
}

fn host(namespace: &Namespace) -> String {
    format!("{NAME}.{}.svc", namespace.name)
}

fn configure(
    namespace: &Namespace,
    scheme: &str,
    rules: &[&str],
    files: &[(&str, String)],
    listen: &str,
) -> Result<()> {
    let password = Uuid::new_v4().simple().to_string();
    secrets::register(&password);
    let rules = rules.join(" ");
    let configuration = format!(
        "{listen}\nbind * -::*\nprotected-mode no\nsave \"\"\nappendonly no\n\
         user default off\nuser hub on >{password} {rules}\n"
    );
    let url = format!("{scheme}://{}:{PORT}", host(namespace));
    let mut entries = json!({"url": url, "password": password, "redis.conf": configuration});
    for (name, text) in files {
        entries[*name] = json!(text);
    }
    namespace.apply(&json!({
        "apiVersion": "v1", "kind": "Secret", "metadata": {"name": NAME}, "stringData": entries,
    }))
}

/// Starts the pod again after [`stop`], with the same address and password, and empty.
pub fn start_pod(namespace: &Namespace) -> Result<()> {
    let image = install::image_name(namespace.cluster, "REDIS_IMAGE", "nhub.test/redis:test")?;
    let container = json!({
        "image": image,
        // A file, because everyone who can read the pod sees its arguments.
        "command": ["redis-server", "/etc/redis/redis.conf"],
        "volumeMounts": [{"name": "configuration", "mountPath": "/etc/redis"}],
    });
    service_pod::start(
        namespace,
        NAME,
        PORT,
        container,
        &json!([{"name": "configuration", "secret": {"secretName": NAME}}]),
    )
}

/// Deletes the pod without a grace period.
pub fn stop(namespace: &Namespace) -> Result<()> {
    namespace.kubectl(&["delete", "pod", NAME, "--force", "--grace-period=0"]).map(drop)
}
