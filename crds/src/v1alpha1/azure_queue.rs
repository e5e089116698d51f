//! `spec.source.azureQueue`: notifications from an Azure Storage queue.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::SecretValue;

/// Azure Storage queue, with exactly one of the credentials connectionString and workloadIdentity.
#[derive(KubeSchema, Clone, Debug, Default, Deserialize, Serialize, PartialEq)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("has(self.connectionString) != has(self.workloadIdentity)")
        .message("source.azureQueue must specify exactly one of connectionString and workloadIdentity"),
    validation = Rule::new("!has(self.poisonQueueName) || self.poisonQueueName != (has(self.queueName) ? self.queueName : 'notifications')")
        .message("source.azureQueue.poisonQueueName must differ from the name of the source queue (queueName, by default notifications)"),
    validation = Rule::new("has(self.poisonQueueName) || !has(self.queueName) || size(self.queueName) <= 56")
        .message("source.azureQueue.queueName: more than 56 characters leave no room for the suffix '-poison'; set source.azureQueue.poisonQueueName")
)]
pub struct AzureQueue {
    /// queueName is the name of the queue, with 3 to 63 lowercase letters, digits, and single hyphens. The queue must
    /// exist. Defaults to `notifications`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 3, max = 63))]
    #[x_kube(
        validation = Rule::new("self.matches('^[a-z0-9]+(-[a-z0-9]+)*$')")
            .message("source.azureQueue.queueName must consist of lowercase letters and digits, with single hyphens between them")
    )]
    pub queue_name: Option<String>,

    /// poisonQueueName is the name of the poison queue, which receives messages that are not valid notifications.
    /// It must differ from queueName, and have 3 to 63 lowercase letters, digits, and single hyphens. The hub creates
    /// the queue when it first needs it. Defaults to queueName followed by `-poison`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 3, max = 63))]
    #[x_kube(
        validation = Rule::new("self.matches('^[a-z0-9]+(-[a-z0-9]+)*$')")
            .message("source.azureQueue.poisonQueueName must consist of lowercase letters and digits, with single hyphens between them")
    )]
    pub poison_queue_name: Option<String>,

    /// connectionString is the connection string of the storage account, with an account key or a shared access
    /// signature. A change replaces the pods.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub connection_string: Option<SecretValue>,

    /// workloadIdentity is a managed identity, used through Azure Workload Identity. Federate it with the hub's
    /// ServiceAccount, which has the name of the hub.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub workload_identity: Option<WorkloadIdentity>,
}

/// Managed identity of Azure.
#[derive(JsonSchema, Clone, Debug, Deserialize, Serialize, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct WorkloadIdentity {
    /// accountURL is the URL of the storage account's queues, such as `https://account.queue.core.windows.net`.
    #[schemars(
        length(max = 2048),
        regex(pattern = r"^https://[a-zA-Z0-9]([-a-zA-Z0-9.]*[a-zA-Z0-9])?(:[0-9]{1,5})?(/[^?#@\s]*)?$")
    )]
    #[serde(rename = "accountURL")]
    pub account_url: String,

    /// clientID is the client ID of the managed identity.
    #[schemars(
        length(max = 36),
        regex(pattern = r"^[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}$")
    )]
    #[serde(rename = "clientID")]
    pub client_id: String,
}
