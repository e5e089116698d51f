//! Where notifications come from, and whether the Secret that this needs is there. Pure.

use k8s_openapi::ByteString;
use notification_hub_crds::condition::Reason;
use notification_hub_crds::v1alpha1::{AzureQueue as Spec, SecretKeyReference, Source as SourceSpec};

use crate::conditions::{Findings, Problem};
use crate::model::Fingerprint;
use crate::model::source::{AzureQueue, Credential, Source};
use crate::reconcile::dereference::Referenced;

/// The queue of Bitwarden's senders.
const QUEUE: &str = "notifications";

/// The source, unless something is wrong with it.
pub(super) fn check(spec: &SourceSpec, fetched: Option<&Referenced>, findings: &mut Findings) -> Option<Source> {
    let problem = match (&spec.direct, &spec.azure_queue) {
        (Some(_), None) => return Some(Source::Direct),
        (None, Some(queue)) => return azure_queue(queue, fetched, findings).map(Source::AzureQueue),
        (None, None) => "source: none is given",
        (Some(_), Some(_)) => "source: give either direct or azureQueue",
    };
    findings.spec.push(Problem { reason: Reason::InvalidSpec, message: problem.to_owned() });
    None
}

fn azure_queue(spec: &Spec, fetched: Option<&Referenced>, findings: &mut Findings) -> Option<AzureQueue> {
    let credential = match (&spec.connection_string, &spec.workload_identity) {
        (Some(value), None) => connection_string(&value.secret_key_ref, fetched, findings)?,
        (None, Some(identity)) => Credential::WorkloadIdentity {
            account_url: identity.account_url.clone(),
            client_id: identity.client_id.clone(),
        },
        _ => {
            let message = "source.azureQueue: give either connectionString or workloadIdentity".to_owned();
            findings.spec.push(Problem { reason: Reason::InvalidSpec, message });
            return None;
        }
    };
    Some(AzureQueue {
        name: spec.queue_name.clone().unwrap_or_else(|| QUEUE.to_owned()),
        poison_name: spec.poison_queue_name.clone(),
        credential,
    })
}

/// Whether the string can be used is the hub's to say; that there is none can be told here.
fn connection_string(
    reference: &SecretKeyReference,
    fetched: Option<&Referenced>,
    findings: &mut Findings,
) -> Option<Credential> {
    let SecretKeyReference { name, key } = reference;
    let mut wrong = |reason, what: String| {
        let message = format!("source.azureQueue.connectionString: Secret {name}{what}");
        findings.references.push(Problem { reason, message });
        None
    };
    let Some(secret) = fetched.and_then(|fetched| fetched.secret.as_ref()) else {
        return wrong(Reason::SecretNotFound, " does not exist".to_owned());
    };
    let entry = secret.data.as_ref().and_then(|data| data.get(key));
    match entry {
        None => wrong(Reason::SecretEntryMissing, format!(" has no entry {key}")),
        Some(ByteString(content)) if content.trim_ascii().is_empty() => {
            wrong(Reason::SecretEntryMissing, format!(", entry {key}: it is empty"))
        }
        Some(ByteString(content)) => Some(Credential::ConnectionString {
            secret: name.clone(),
            entry: key.clone(),
            fingerprint: Fingerprint::of(content),
        }),
    }
}
