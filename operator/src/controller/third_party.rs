//! Watches third-party kinds while the API server serves them, and reconciles every hub when the set of served kinds
//! changes.

use futures_util::{Stream, StreamExt, stream};
use kube::Api;
use kube::core::PartialObjectMeta;
use kube::runtime::reflector::{ObjectRef, Store};
use kube::runtime::{WatchStreamExt, watcher};

use super::{GuardedHub, triggers};
use crate::context::Context;
use crate::model::labels;
use crate::third_party::ThirdPartyResource;

/// Returns a stream of the hubs that changed objects of a kind concern. It yields hubs while the API server serves the
/// kind.
pub(super) fn hubs_of_changed_children<K: ThirdPartyResource>(
    api: Api<PartialObjectMeta<K>>,
    context: &Context,
    store: Store<GuardedHub>,
) -> impl Stream<Item = ObjectRef<GuardedHub>> + Send + 'static + use<K> {
    let metrics = context.metrics.clone();
    let watches = stream::unfold((api, context.served.subscribe()), |(api, mut served)| async move {
        served.wait_for(|served| served.contains(K::KIND)).await.ok()?;
        let mut still_served = served.clone();
        let until_gone = async move { still_served.wait_for(|served| !served.contains(K::KIND)).await.map(drop) };
        let objects = watcher(api.clone(), watcher::Config::default().labels(labels::MANAGED_SELECTOR))
            .default_backoff()
            .touched_objects();
        Some((objects.take_until(Box::pin(until_gone)), (api, served)))
    });
    let hubs_of_child = triggers::hubs_of_child::<K>(store);
    watches.flatten().flat_map(move |object| {
        let hubs = object.map(&hubs_of_child).inspect_err(|error| {
            metrics.watch_failed();
            tracing::warn!(kind = %K::KIND, %error, "watch failed; retrying");
        });
        stream::iter(hubs.unwrap_or_default())
    })
}

/// Returns a stream of all hubs, each time the set of served kinds changes.
pub(super) fn hubs_on_discovery(
    context: &Context,
    store: Store<GuardedHub>,
) -> impl Stream<Item = ObjectRef<GuardedHub>> + Send + 'static + use<> {
    let changes = stream::unfold((context.served.subscribe(), store), |(mut served, store)| async move {
        served.changed().await.ok()?;
        let hubs: Vec<_> = store.state().iter().map(|hub| ObjectRef::from_obj(&**hub)).collect();
        Some((stream::iter(hubs), (served, store)))
    });
    changes.flatten()
}
