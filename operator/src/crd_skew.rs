//! Reports an installed CRD that is older than this operator. The API server drops the fields that it lacks.

use std::time::Duration;

use k8s_openapi::api::core::v1::ObjectReference;
use kube::runtime::events::EventType;
use kube::{CustomResourceExt, ResourceExt};
use notification_hub_crds::NotificationHub;
use notification_hub_crds::crd::crd_json;
use serde_json::Value;
use tokio::time::sleep;

use crate::cluster::CallError;
use crate::context::Context;
use crate::schema;

/// The Event's reason.
pub const EVENT_REASON: &str = "CrdOutdated";

/// Delay before missing fields are looked for again: the API server publishes a replaced CRD a moment later.
const RECHECK_DELAY: Duration = Duration::from_secs(10);

/// Delay after a failed read of the schema.
const RETRY_INTERVAL: Duration = Duration::from_secs(30);

/// Compares the installed CRD with this operator's once, and reports the result as a log line and an Event.
pub async fn report(context: &Context) {
    let Some(mut missing) = read_missing_fields(context).await else { return };
    if !missing.is_empty() {
        sleep(RECHECK_DELAY).await;
        let Some(again) = read_missing_fields(context).await else { return };
        missing = again;
    }
    let name = NotificationHub::crd().name_any();
    if missing.is_empty() {
        tracing::info!(definition = name, "the definition has every field that this operator knows");
        return;
    }
    let fields = missing.join(", ");
    tracing::warn!(definition = name, fields, "the definition is older than this operator: these fields are lost");
    let regarding = ObjectReference {
        api_version: Some("apiextensions.k8s.io/v1".to_owned()),
        kind: Some("CustomResourceDefinition".to_owned()),
        name: Some(name),
        ..ObjectReference::default()
    };
    let note = format!("older than the operator, these fields are lost: {fields}");
    context.publish(&regarding, EventType::Warning, "Compare", EVENT_REASON.to_owned(), note).await;
}

/// Returns the fields that the installed CRD lacks, or `None` if reading its schema is forbidden. Retries other failures.
async fn read_missing_fields(context: &Context) -> Option<Vec<String>> {
    loop {
        match try_read_missing_fields(context).await {
            Ok(Some(fields)) => return Some(fields),
            Ok(None) => tracing::warn!("the API server does not publish the resource's schema"),
            Err(error) if error.category() == "forbidden" => {
                tracing::warn!(%error, "whether the definition is older than this operator cannot be told");
                return None;
            }
            Err(error) => tracing::warn!(%error, "the resource's schema cannot be read; it is tried again"),
        }
        sleep(RETRY_INTERVAL).await;
    }
}

async fn try_read_missing_fields(context: &Context) -> Result<Option<Vec<String>>, CallError> {
    let served = context.cluster.served_schema().await?;
    // That it can be written is tested.
    let known = crd_json().unwrap_or_default();
    let known = known.pointer("/spec/versions/0/schema/openAPIV3Schema").unwrap_or(&Value::Null);
    Ok(served.map(|served| schema::missing_fields(known, &served)))
}
