//! Number of clients of each hub, from the metrics of its pods.
//!
//! A reconcile does not wait for pods: it writes the last known count.

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

/// Asks the pod at an address for its number of clients.
pub type ScrapeFn = Arc<dyn Fn(IpAddr) -> BoxFuture<'static, Result<i64, ScrapeError>> + Send + Sync>;

/// Last known connection count of each hub.
pub struct Connections {
    counts: Mutex<HashMap<ObjectRef<DynamicObject>, i64>>,
    scrape: ScrapeFn,
}

impl Default for Connections {
    fn default() -> Connections {
        Connections::with_scrape(Arc::new(|address| scrape(SocketAddr::from((address, admin_port()))).boxed()))
    }
}

fn admin_port() -> u16 {
    u16::try_from(ports::ADMIN).unwrap_or_default()
}

impl Connections {
    /// Creates counts that are read from pods by `scrape`.
    pub fn with_scrape(scrape: ScrapeFn) -> Connections {
        Connections { counts: Mutex::default(), scrape }
    }

    /// Returns the last known count of a hub, or `None` if this process has not asked its pods yet.
    pub fn get(&self, hub: &NotificationHub) -> Option<i64> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner).get(&ObjectRef::from_obj(hub).erase()).copied()
    }

    /// Forgets a hub that is gone.
    pub fn forget(&self, hub: &ObjectRef<DynamicObject>) {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner).remove(hub);
    }

    /// Asks a hub's pods, and stores their sum if it differs enough from the reported count. Returns whether it did.
    pub async fn update(&self, cluster: &Cluster, metrics: &Metrics, hub: &NotificationHub) -> bool {
        let Some(count) = self.count(cluster, metrics, hub).await else { return false };
        let told = self.get(hub).or_else(|| hub.status.as_ref().and_then(|status| status.connections));
        let has_changed = has_changed(told, count);
        if has_changed {
            let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
            counts.insert(ObjectRef::from_obj(hub).erase(), count);
        }
        has_changed
    }

    /// The clients of all pods. Nothing if that cannot be told: there is no pod, or one that serves does not answer.
    pub async fn count(&self, cluster: &Cluster, metrics: &Metrics, hub: &NotificationHub) -> Option<i64> {
        let (name, namespace) = (hub.name_any(), hub.namespace().unwrap_or_default());
        let pods = cluster.list::<Pod>(&namespace, &labels::selector_text(&name)).await;
        let pods =
            pods.inspect_err(|error| tracing::debug!(hub = name, namespace, %error, "the pods are not known")).ok()?;
        let asked = pods.iter().filter_map(|pod| Some((address(pod)?, is_ready(pod))));
        let asked = asked.map(async |(address, is_ready)| match (self.scrape)(address).await {
            Ok(count) => Some(count),
            Err(error) => {
                metrics.scrape_failed();
                tracing::debug!(hub = name, namespace, %address, %error, "a pod does not tell how many clients it has");
                // One that comes or goes may have none.
                (!is_ready).then_some(0)
            }
        });
        let counts = join_all(asked).await;
        if counts.is_empty() { None } else { counts.into_iter().sum() }
    }
}

/// Where a pod that runs is reached.
fn address(pod: &Pod) -> Option<IpAddr> {
    let status = pod.status.as_ref()?;
    let runs = status.phase.as_deref() == Some("Running");
    status.pod_ip.as_ref().filter(|_| runs)?.parse().ok()
}

fn is_ready(pod: &Pod) -> bool {
    let conditions = pod.status.iter().flat_map(|status| status.conditions.iter().flatten());
    let mut ready = conditions.filter(|condition| condition.type_ == "Ready");
    pod.metadata.deletion_timestamp.is_none() && ready.any(|condition| condition.status == "True")
}
