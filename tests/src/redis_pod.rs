//! A Redis in a pod, which keeps nothing, and the Secret with which a hub reaches it.

use anyhow::Result;
use serde_json::json;
use uuid::Uuid;

use crate::certificate;
use crate::namespace::Namespace;
use crate::redis::RIGHTS;
use crate::{install, part, secrets};

const PORT: u16 = 6379;

/// The pod, its Service and the Secret.
const NAME: &str = "redis";

/// Starts one called `redis`, once in a namespace. The Secret of this name has the entries `url` and `password`; the user
/// is `hub`.
pub fn start(namespace: &Namespace) -> Result<()> {
    configure(namespace, "redis", &RIGHTS, &[], &format!("port {PORT}"))?;
    start_pod(namespace)
}

/// The same behind TLS, for hubs whose channels have this prefix. The Secret has the authority of its certificate as `ca`.
pub fn start_behind_tls(namespace: &Namespace, prefix: &str) -> Result<()> {
    let files = tempfile::tempdir()?;
    certificate::make(files.path(), &format!("DNS:{}", host(namespace)))?;
    let read = |name: &str| std::fs::read_to_string(files.path().join(name));
    let (key, certificate, authority) = (read("key")?, read("certificate")?, read("authority")?);
    let (channels, keys) = (format!("&{prefix}*"), format!("~{prefix}:catch-up:*"));
    let narrow = |right: &'static str| match right {
        "&*" => channels.as_str(),
        "~*:catch-up:*" => keys.as_str(),
        other => other,
    };
    let files = [("key", key), ("certificate", certificate), ("ca", authority)];
    let listen = format!(
        "port 0\ntls-port {PORT}\ntls-auth-clients no\ntls-cert-file /etc/redis/certificate\n\
         tls-key-file /etc/redis/key\ntls-ca-cert-file /etc/redis/ca"
    );
    configure(namespace, "rediss", &RIGHTS.map(narrow), &files, &listen)?;
    start_pod(namespace)
}

fn host(namespace: &Namespace) -> String {
    format!("{NAME}.{}.svc", namespace.name)
}

fn configure(
    namespace: &Namespace,
    scheme: &str,
    rights: &[&str],
    files: &[(&str, String)],
    listen: &str,
) -> Result<()> {
    let password = Uuid::new_v4().simple().to_string();
    secrets::keep(&password);
    let rights = rights.join(" ");
    let configuration = format!(
        "{listen}\nbind 0.0.0.0\nprotected-mode no\nsave \"\"\nappendonly no\n\
         user default off\nuser hub on >{password} {rights}\n"
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

/// Starts it again after [`stop`]: with the same address and password, and without what it knew.
pub fn start_pod(namespace: &Namespace) -> Result<()> {
    let image = install::image_name(namespace.cluster, "REDIS_IMAGE", "nhub.test/redis:test")?;
    let container = json!({
        "image": image,
        // Not as arguments, which everybody may read.
        "command": ["redis-server", "/etc/redis/redis.conf"],
        "volumeMounts": [{"name": "configuration", "mountPath": "/etc/redis"}],
    });
    part::start(namespace, NAME, PORT, container, &json!([{"name": "configuration", "secret": {"secretName": NAME}}]))
}

/// Ends it at once.
pub fn stop(namespace: &Namespace) -> Result<()> {
    namespace.kubectl(&["delete", "pod", NAME, "--force", "--grace-period=0"]).map(drop)
}
