//! How many clients a hub has, by what its pods tell.
//!
//! Passes do not wait for pods: they write the count that is known.

mod count;
mod scrape;

pub use count::{clients, has_moved};
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

use crate::build::ports;
use crate::cluster::Cluster;
use crate::model::labels;
use crate::telemetry::metrics::Metrics;

/// Asks the pod at an address how many clients it has.
pub type Ask = Arc<dyn Fn(IpAddr) -> BoxFuture<'static, Result<i64, ScrapeError>> + Send + Sync>;

/// The counts that are known.
pub struct Connections {
    known: Mutex<HashMap<ObjectRef<DynamicObject>, i64>>,
    ask: Ask,
}

impl Default for Connections {
    fn default() -> Connections {
        Connections::asking(Arc::new(|address| scrape(SocketAddr::from((address, admin_port()))).boxed()))
    }
}

fn admin_port() -> u16 {
    u16::try_from(ports::ADMIN).unwrap_or_default()
}

impl Connections {
    /// Counts of pods that are asked like this.
    pub fn asking(ask: Ask) -> Connections {
        Connections { known: Mutex::default(), ask }
    }

    /// What is known of a hub, if this process has asked.
    pub fn of(&self, hub: &NotificationHub) -> Option<i64> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner).get(&ObjectRef::from_obj(hub).erase()).copied()
    }

    /// Forgets a hub that is gone.
    pub fn forget(&self, hub: &ObjectRef<DynamicObject>) {
        self.known.lock().unwrap_or_else(PoisonError::into_inner).remove(hub);
    }

    /// Asks a hub's pods, and keeps what they have together if that has moved far enough from what was told; tells whether
    /// it has.
    pub async fn ask(&self, cluster: &Cluster, metrics: &Metrics, hub: &NotificationHub) -> bool {
        let Some(count) = self.count(cluster, metrics, hub).await else { return false };
        let told = self.of(hub).or_else(|| hub.status.as_ref().and_then(|status| status.connections));
        let has_moved = has_moved(told, count);
        if has_moved {
            let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
            known.insert(ObjectRef::from_obj(hub).erase(), count);
        }
        has_moved
    }

    /// The clients of all pods. Nothing if that cannot be told: there is no pod, or one that serves does not answer.
    pub async fn count(&self, cluster: &Cluster, metrics: &Metrics, hub: &NotificationHub) -> Option<i64> {
        let (name, namespace) = (hub.name_any(), hub.namespace().unwrap_or_default());
        let pods = cluster.list::<Pod>(&namespace, &labels::selector_text(&name)).await;
        let pods =
            pods.inspect_err(|error| tracing::debug!(hub = name, namespace, %error, "the pods are not known")).ok()?;
        let asked = pods.iter().filter_map(|pod| Some((address(pod)?, is_ready(pod))));
        let asked = asked.map(async |(address, is_ready)| match (self.ask)(address).await {
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
