//! A Redis in a pod, which keeps nothing, and the Secret with which a hub reaches it.

use anyhow::Result;
use serde_json::json;
use uuid::Uuid;

use crate::install;
use crate::namespace::{Namespace, PATIENCE};
use crate::redis::RIGHTS;
use crate::secrets;

const PORT: u16 = 6379;

/// The pod, its Service and the Secret.
const NAME: &str = "redis";

/// Starts one called `redis`, once in a namespace. The Secret of this name has the entries `url` and `password`; the user
/// is `hub`.
pub fn start(namespace: &Namespace) -> Result<()> {
    let password = Uuid::new_v4().simple().to_string();
    secrets::keep(&password);
    let rights = RIGHTS.join(" ");
    let configuration = format!(
        "port {PORT}\nbind 0.0.0.0\nprotected-mode no\nsave \"\"\nappendonly no\n\
         user default off\nuser hub on >{password} {rights}\n"
    );
    let url = format!("redis://{NAME}.{}.svc:{PORT}", namespace.name);
    namespace.apply(&json!({
        "apiVersion": "v1", "kind": "Secret", "metadata": {"name": NAME},
        "stringData": {"url": url, "password": password, "redis.conf": configuration},
    }))?;
    namespace.apply(&json!({
        "apiVersion": "v1", "kind": "Service", "metadata": {"name": NAME},
        "spec": {"selector": {"app": NAME}, "ports": [{"port": PORT}]},
    }))?;
    start_pod(namespace)
}

/// Starts it again after [`stop`]: with the same address and password, and without what it knew.
pub fn start_pod(namespace: &Namespace) -> Result<()> {
    let image = install::image_name(namespace.cluster, "REDIS_IMAGE", "nhub.test/redis:test")?;
    let container = json!({
        "name": NAME, "image": image, "ports": [{"containerPort": PORT}],
        // Not as arguments, which everybody may read.
        "command": ["redis-server", "/etc/redis/redis.conf"],
        "volumeMounts": [{"name": "configuration", "mountPath": "/etc/redis"}],
        "readinessProbe": {"tcpSocket": {"port": PORT}, "periodSeconds": 1},
    });
    let configuration = json!({"secretName": NAME, "items": [{"key": "redis.conf", "path": "redis.conf"}]});
    namespace.apply(&json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": NAME, "labels": {"app": NAME}},
        "spec": {
            "containers": [container], "terminationGracePeriodSeconds": 0,
            "volumes": [{"name": "configuration", "secret": configuration}],
        },
    }))?;
    let timeout = format!("--timeout={}s", PATIENCE.as_secs());
    namespace.kubectl(&["wait", "--for=condition=Ready", &timeout, &format!("pod/{NAME}")]).map(drop)
}

/// Ends it at once.
pub fn stop(namespace: &Namespace) -> Result<()> {
    namespace.kubectl(&["delete", "pod", NAME, "--force", "--grace-period=0"]).map(drop)
}
