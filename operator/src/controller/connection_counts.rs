//! Scrapes the pods of every hub once a minute. Triggers a reconcile if the number of clients differs by a tenth from the
//! reported one.

use std::sync::Arc;
use std::time::Duration;

use futures_util::{Stream, StreamExt, stream};
use kube::runtime::reflector::{ObjectRef, Store};
use tokio::time::sleep;

use super::GuardedHub;
use crate::context::Context;

/// Pause between two rounds of polling.
const POLL_INTERVAL: Duration = Duration::from_secs(60);

/// Maximum number of hubs that are polled at once.
const MAX_CONCURRENT_POLLS: usize = 8;

/// Returns an endless stream of the hubs whose count has changed.
pub(super) fn changed_hubs(
    store: Store<GuardedHub>,
    context: Arc<Context>,
) -> impl Stream<Item = ObjectRef<GuardedHub>> + Send + 'static {
    let rounds = stream::unfold((store, context), |(store, context)| async {
        sleep(POLL_INTERVAL).await;
        let round = stream::iter(store.state()).map({
            let context = context.clone();
            move |guarded| poll_hub(guarded, context.clone())
        });
        Some((round.buffer_unordered(MAX_CONCURRENT_POLLS).filter_map(std::future::ready), (store, context)))
    });
    rounds.flatten()
}

/// Scrapes the pods of a hub. Returns the hub if the number of its clients has changed enough.
async fn poll_hub(guarded: Arc<GuardedHub>, context: Arc<Context>) -> Option<ObjectRef<GuardedHub>> {
    let hub = guarded.0.as_ref().ok()?;
    let has_pods = hub.status.as_ref().is_some_and(|status| status.replicas.is_some_and(|replicas| replicas > 0));
    if !has_pods || hub.metadata.deletion_timestamp.is_some() {
        return None;
    }
    let has_changed = context.connections.update(&context.cluster, &context.metrics, hub).await;
    has_changed.then(|| ObjectRef::from_obj(&*guarded))
}
