//! How many clients a hub has: asked of its pods once a minute, and told in its status once it has moved by a tenth.
//!
//! Passes do not wait for pods: they write the count that is known. Here it is found out, and a pass is asked for where
//! there is another one to write.

mod count;
mod scrape;

pub use count::{clients, has_moved};
pub use scrape::{ScrapeError, scrape};

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::future::{BoxFuture, join_all};
use futures_util::{FutureExt, Stream, StreamExt, stream};
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt;
use kube::core::DynamicObject;
use kube::runtime::reflector::{ObjectRef, Store};
use notification_hub_crds::NotificationHub;
use tokio::time::sleep;

use crate::build::ports;
use crate::context::Context;
use crate::controller::Guarded;
use crate::model::labels;

/// The pause between two rounds.
const INTERVAL: Duration = Duration::from_secs(60);

/// Hubs that are asked at once.
const CONCURRENCY: usize = 8;

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

    /// Keeps a count, if it has moved far enough from what was told; tells whether it has.
    fn learn(&self, hub: &NotificationHub, count: i64) -> bool {
        let told = self.of(hub).or_else(|| hub.status.as_ref().and_then(|status| status.connections));
        let has_moved = has_moved(told, count);
        if has_moved {
            let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
            known.insert(ObjectRef::from_obj(hub).erase(), count);
        }
        has_moved
    }
}

/// The hubs whose count has moved, for ever.
pub fn moved(store: Store<Guarded>, context: Arc<Context>) -> impl Stream<Item = ObjectRef<Guarded>> + Send + 'static {
    let rounds = stream::unfold((store, context), |(store, context)| async {
        sleep(INTERVAL).await;
        let round = stream::iter(store.state()).map({
            let context = context.clone();
            move |guarded| look(guarded, context.clone())
        });
        Some((round.buffer_unordered(CONCURRENCY).filter_map(std::future::ready), (store, context)))
    });
    rounds.flatten()
}

async fn look(guarded: Arc<Guarded>, context: Arc<Context>) -> Option<ObjectRef<Guarded>> {
    let hub = guarded.0.as_ref().ok()?;
    let has_pods = hub.status.as_ref().is_some_and(|status| status.replicas.is_some_and(|replicas| replicas > 0));
    if !has_pods || hub.metadata.deletion_timestamp.is_some() {
        return None;
    }
    let count = count(&context, hub).await?;
    context.connections.learn(hub, count).then(|| ObjectRef::from_obj(&*guarded))
}

/// The clients of all pods. Nothing if that cannot be told: there is no pod, or one that serves does not answer.
pub async fn count(context: &Context, hub: &NotificationHub) -> Option<i64> {
    let (name, namespace) = (hub.name_any(), hub.namespace().unwrap_or_default());
    let pods = context.cluster.list::<Pod>(&namespace, &labels::selector_text(&name)).await;
    let pods =
        pods.inspect_err(|error| tracing::debug!(hub = name, namespace, %error, "the pods are not known")).ok()?;
    let asked = pods.iter().filter_map(|pod| Some((address(pod)?, is_ready(pod))));
    let asked = asked.map(async |(address, is_ready)| match (context.connections.ask)(address).await {
        Ok(count) => Some(count),
        Err(error) => {
            context.metrics.scrape_failed();
            tracing::debug!(hub = name, namespace, %address, %error, "a pod does not tell how many clients it has");
            // One that comes or goes may have none.
            (!is_ready).then_some(0)
        }
    });
    let counts = join_all(asked).await;
    if counts.is_empty() { None } else { counts.into_iter().sum() }
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
