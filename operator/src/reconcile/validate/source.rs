//! Validates the source of notifications, and the Secret that it needs. No I/O.

use notification_hub_crds::condition::Reason;
use notification_hub_crds::v1alpha1::{AzureQueue as Spec, Source as SourceSpec};

use super::secret_value;
use crate::conditions::{Diagnostic, Diagnostics};
use crate::model::SecretEntry;
use crate::model::source::{AzureQueue, Credential, Source};
use crate::reconcile::dereference::Secrets;

/// Default name of the queue: the one that Bitwarden's senders use.
const DEFAULT_QUEUE_NAME: &str = "notifications";

/// Returns the source, or `None` if it is invalid.
pub(super) fn check(spec: &SourceSpec, secrets: &Secrets, diagnostics: &mut Diagnostics) -> Option<Source> {
    let message = match (&spec.direct, &spec.azure_queue) {
        (Some(_), None) => return Some(Source::Direct),
        (None, Some(queue)) => return azure_queue(queue, secrets, diagnostics).map(Source::AzureQueue),
        (None, None) => "source: not set; set direct or azureQueue",
        (Some(_), Some(_)) => "source: both direct and azureQueue are set; remove one of them",
    };
    diagnostics.spec.push(Diagnostic { reason: Reason::InvalidSpec, message: message.to_owned() });
    None
}

/// Returns the settings of the queue, or `None` if they are invalid.
fn azure_queue(spec: &Spec, secrets: &Secrets, diagnostics: &mut Diagnostics) -> Option<AzureQueue> {
    let credential = match (&spec.connection_string, &spec.workload_identity) {
        // Only checks that the string exists. The hub parses it.
        (Some(value), None) => {
            let path = "source.azureQueue.connectionString";
            let content = secret_value::content(path, value, secrets, diagnostics)?;
            Credential::ConnectionString(SecretEntry::new(&value.secret_key_ref, content))
        }
        (None, Some(identity)) => Credential::WorkloadIdentity {
            account_url: identity.account_url.clone(),
            client_id: identity.client_id.clone(),
        },
        _ => {
            let message = "source.azureQueue: set either connectionString or workloadIdentity".to_owned();
            diagnostics.spec.push(Diagnostic { reason: Reason::InvalidSpec, message });
            return None;
        }
    };
    Some(AzureQueue {
        name: spec.queue_name.clone().unwrap_or_else(|| DEFAULT_QUEUE_NAME.to_owned()),
        poison_name: spec.poison_queue_name.clone(),
        credential,
    })
}
