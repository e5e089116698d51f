//! The ServiceAccount of the pods, which has no permissions in the cluster. No I/O.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::ServiceAccount;

use crate::build::metadata;
use crate::model::ValidatedHub;
use crate::model::labels::Labels;
use crate::model::source::Credential;

/// Annotation with the client ID of the identity, for the webhook of Azure Workload Identity.
const CLIENT_ID_ANNOTATION: &str = "azure.workload.identity/client-id";

/// Returns the ServiceAccount.
pub(in crate::build) fn build(hub: &ValidatedHub) -> ServiceAccount {
    let mut annotations = BTreeMap::new();
    if let Some(Credential::WorkloadIdentity { client_id, .. }) = hub.source.credential() {
        annotations.insert(CLIENT_ID_ANNOTATION.to_owned(), client_id.clone());
    }
    let metadata = metadata::for_child_with(hub, hub.name.as_str(), &Labels::new(), &annotations);
    ServiceAccount { metadata, automount_service_account_token: Some(false), ..ServiceAccount::default() }
}
