//! Number of clients of each hub, from the metrics of its pods.
//!
//! A reconcile does not wait for pods. It writes the last reported count, which `controller::connection_counts` updates once a
//! minute.

mod count;
mod scrape;

pub use count::{has_changed, parse_client_count};
pub use scrape::{ScrapeError, scrape};

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};

use futures_util::FutureExt;
use futures_util::future::{BoxFuture, join_all};
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt;
use kube::core::DynamicObject;
use kube::runtime::reflector::ObjectRef;
use notification_hub_crds::NotificationHub;

use crate::cluster::Cluster;
use crate::model::{labels, ports};
use crate::telemetry::metrics::Metrics;

/// Function that returns the number of clients of the pod at an address.
pub type ScrapeFn = Arc<dyn Fn(IpAddr) -> BoxFuture<'static, Result<i64, ScrapeError>> + Send + Sync>;

/// The connection count of each hub that was last reported in its status, or will be in the next.
pub struct Connections {
    counts: Mutex<HashMap<ObjectRef<DynamicObject>, i64>>,
    scrape: ScrapeFn,
}

impl Default for Connections {
    fn default() -> Connections {
        Connections::with_scrape(Arc::new(|address| scrape(SocketAddr::from((address, admin_port()))).boxed()))
    }
}

/// Returns the admin port of the pods.
fn admin_port() -> u16 {
    u16::try_from(ports::ADMIN).unwrap_or_default()
}

impl Connections {
    /// Creates an empty store whose counts are read by `scrape`.
    pub fn with_scrape(scrape: ScrapeFn) -> Connections {
        Connections { counts: Mutex::default(), scrape }
    }

    /// Returns the last reported count of a hub, or `None` if this process has not scraped its pods yet.
    pub fn get(&self, hub: &NotificationHub) -> Option<i64> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner).get(&ObjectRef::from_obj(hub).erase()).copied()
    }

    /// Removes the count of a deleted hub.
    pub fn forget(&self, hub: &ObjectRef<DynamicObject>) {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner).remove(hub);
    }

    /// Scrapes the pods of a hub, and stores the sum if it differs by a tenth from the reported count. Returns whether it
    /// was stored.
    pub async fn update(&self, cluster: &Cluster, metrics: &Metrics, hub: &NotificationHub) -> bool {
        let Some(count) = self.count(cluster, metrics, hub).await else { return false };
        let reported = self.get(hub).or_else(|| hub.status.as_ref().and_then(|status| status.connections));
        let has_changed = has_changed(reported, count);
        if has_changed {
            let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
            counts.insert(ObjectRef::from_obj(hub).erase(), count);
        }
        has_changed
    }

    /// Scrapes the pods of a hub and returns the number of their clients. Returns `None` if no pod runs, the pods cannot be
    /// listed, or a ready pod does not answer.
    pub async fn count(&self, cluster: &Cluster, metrics: &Metrics, hub: &NotificationHub) -> Option<i64> {
        let (name, namespace) = (hub.name_any(), hub.namespace().unwrap_or_default());
        let pods = cluster.list::<Pod>(&namespace, &labels::selector_text(&name)).await;
        let pods =
            pods.inspect_err(|error| tracing::debug!(hub = name, namespace, %error, "cannot list the pods")).ok()?;
        let running = pods.iter().filter_map(|pod| Some((address(pod)?, is_ready(pod))));
        let scrapes = running.map(async |(address, is_ready)| match (self.scrape)(address).await {
            Ok(count) => Some(count),
            Err(error) => {
                metrics.scrape_failed();
                tracing::debug!(hub = name, namespace, %address, %error, "cannot scrape a pod");
                // A pod that starts or ends may have no clients.
                (!is_ready).then_some(0)
            }
        });
        let counts = join_all(scrapes).await;
        if counts.is_empty() { None } else { counts.into_iter().sum() }
    }
}

/// Returns the address of a pod, or `None` unless it is running.
fn address(pod: &Pod) -> Option<IpAddr> {
    let status = pod.status.as_ref()?;
    let is_running = status.phase.as_deref() == Some("Running");
    status.pod_ip.as_ref().filter(|_| is_running)?.parse().ok()
}

/// Returns whether a pod is ready and not being deleted.
fn is_ready(pod: &Pod) -> bool {
    let conditions = pod.status.iter().flat_map(|status| status.conditions.iter().flatten());
    let mut ready = conditions.filter(|condition| condition.type_ == "Ready");
    pod.metadata.deletion_timestamp.is_none() && ready.any(|condition| condition.status == "True")
}
