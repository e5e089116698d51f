//! Reports CRD skew: the installed CRD is older than this operator. The API server drops the fields that it lacks.

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

/// Reason of the Event.
pub const EVENT_REASON: &str = "CrdOutdated";

/// Delay before missing fields are reported. The API server publishes the schema of a replaced CRD with a delay.
const RECHECK_DELAY: Duration = Duration::from_secs(10);

/// Delay after a failed read of the schema.
const RETRY_INTERVAL: Duration = Duration::from_secs(30);

/// Compares the installed CRD with this operator's once, and reports the result as a log line and an Event.
pub async fn report(context: &Context) {
    let Some(mut missing) = read_missing_fields(context).await else { return };
    if !missing.is_empty() {
        sleep(RECHECK_DELAY).await;
        let Some(still_missing) = read_missing_fields(context).await else { return };
        missing = still_missing;
    }
    let name = NotificationHub::crd().name_any();
    if missing.is_empty() {
        tracing::info!(crd = name, "installed CRD has every field of this operator");
        return;
    }
    let fields = missing.join(", ");
    tracing::warn!(crd = name, fields, "installed CRD is older than this operator; the API server drops fields");
    let regarding = ObjectReference {
        api_version: Some("apiextensions.k8s.io/v1".to_owned()),
        kind: Some("CustomResourceDefinition".to_owned()),
        name: Some(name),
        ..ObjectReference::default()
    };
    let note = format!("the CRD is older than the operator; upgrade it. The API server drops these fields: {fields}");
    context.publish(&regarding, EventType::Warning, "Compare", EVENT_REASON.to_owned(), note).await;
}

/// Returns the fields that the installed CRD lacks, or `None` if reading its schema is forbidden. Retries other failures.
async fn read_missing_fields(context: &Context) -> Option<Vec<String>> {
    loop {
        match try_read_missing_fields(context).await {
            Ok(Some(fields)) => return Some(fields),
            Ok(None) => tracing::warn!("API server does not publish the schema of NotificationHub; retrying"),
            Err(error) if error.category() == "forbidden" => {
                tracing::warn!(%error, "cannot read the schema of the installed CRD; CRD skew is not checked");
                return None;
            }
            Err(error) => tracing::warn!(%error, "cannot read the schema of the installed CRD; retrying"),
        }
        sleep(RETRY_INTERVAL).await;
    }
}

/// Returns the fields that the installed CRD lacks, or `None` if the API server does not publish its schema.
async fn try_read_missing_fields(context: &Context) -> Result<Option<Vec<String>>, CallError> {
    let served = context.cluster.served_schema().await?;
    // A test of the CRD shows that it can be serialized.
    let known = crd_json().unwrap_or_default();
    let known = known.pointer("/spec/versions/0/schema/openAPIV3Schema").unwrap_or(&Value::Null);
    Ok(served.map(|served| schema::missing_fields(known, &served)))
}
