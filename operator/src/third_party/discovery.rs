//! Discovery of the third-party kinds that the API server serves. It polls, because the operator has no permission to
//! watch CRDs.

use std::time::Duration;

use kube::Client;
use tokio::sync::watch;
use tokio::time::sleep;

use super::{ServedKinds, ThirdPartyKind};
use crate::cluster::with_timeout;

/// Pause between two discoveries.
pub const DISCOVERY_INTERVAL: Duration = Duration::from_secs(30);

/// Returns the kinds that the API server serves. If the request for a kind fails, `known` decides.
pub async fn discover(client: &Client, known: &ServedKinds) -> ServedKinds {
    let mut served = Vec::new();
    for kind in ThirdPartyKind::ALL {
        let resource = kind.resource();
        let is_served = match with_timeout(client.list_api_group_resources(&resource.api_version)).await {
            Ok(list) => list.resources.iter().any(|each| each.name == resource.plural),
            Err(error) if error.category() == "not_found" => false,
            Err(error) => {
                tracing::warn!(%kind, %error, "cannot discover a third-party kind");
                known.contains(kind)
            }
        };
        if is_served != known.contains(kind) {
            tracing::info!(%kind, is_served, "discovery of a third-party kind changed");
        }
        served.extend(is_served.then_some(kind));
    }
    served.into_iter().collect()
}

/// Runs discovery periodically and for ever, and publishes changes to `served`.
pub async fn run_discovery(client: &Client, served: &watch::Sender<ServedKinds>) {
    loop {
        sleep(DISCOVERY_INTERVAL).await;
        refresh(client, served).await;
    }
}

/// Runs discovery once, and publishes a change to `served`.
pub async fn refresh(client: &Client, served: &watch::Sender<ServedKinds>) {
    let known = served.borrow().clone();
    let now = discover(client, &known).await;
    served.send_if_modified(|before| {
        let has_changed = *before != now;
        *before = now;
        has_changed
    });
}
