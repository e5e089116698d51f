//! `spec.source.azureQueue`: notifications from an Azure Storage queue.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::SecretValue;

/// An Azure Storage queue, with exactly one of the credentials connectionString and workloadIdentity.
#[derive(KubeSchema, Clone, Debug, Default, Deserialize, Serialize, PartialEq)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("has(self.connectionString) != has(self.workloadIdentity)")
        .message("say how the hub may use the queue: give either azureQueue.connectionString or azureQueue.workloadIdentity"),
    validation = Rule::new("!has(self.poisonQueueName) || self.poisonQueueName != (has(self.queueName) ? self.queueName : 'notifications')")
        .message("the poison queue has to be another queue: what it takes in would come again and again; change azureQueue.poisonQueueName"),
    validation = Rule::new("has(self.poisonQueueName) || !has(self.queueName) || size(self.queueName) <= 56")
        .message("behind a queueName of more than 56 characters there is no room for '-poison': give azureQueue.poisonQueueName too")
)]
pub struct AzureQueue {
    /// The queue. It has to exist. Defaults to `notifications`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 3, max = 63))]
    #[x_kube(
        validation = Rule::new("self.matches('^[a-z0-9]+(-[a-z0-9]+)*$')")
            .message("a queue's name is made of lower-case letters, digits and single hyphens between them: change azureQueue.queueName")
    )]
    pub queue_name: Option<String>,

    /// Where messages go that cannot be understood. The hub makes it when it is needed. Defaults to the queue's name with
    /// `-poison` behind it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 3, max = 63))]
    #[x_kube(
        validation = Rule::new("self.matches('^[a-z0-9]+(-[a-z0-9]+)*$')")
            .message("a queue's name is made of lower-case letters, digits and single hyphens between them: change azureQueue.poisonQueueName")
    )]
    pub poison_queue_name: Option<String>,

    /// The storage account's connection string, with an account key or a shared access signature. When it changes, the
    /// pods are replaced.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub connection_string: Option<SecretValue>,

    /// A managed identity, by Azure Workload Identity: it is federated with the hub's ServiceAccount, which has the hub's
    /// name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub workload_identity: Option<WorkloadIdentity>,
}

/// A managed identity.
#[derive(JsonSchema, Clone, Debug, Deserialize, Serialize, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct WorkloadIdentity {
    /// The account's queues, for example `https://account.queue.core.windows.net`.
    #[schemars(
        length(max = 2048),
        regex(pattern = r"^https://[a-zA-Z0-9]([-a-zA-Z0-9.]*[a-zA-Z0-9])?(:[0-9]{1,5})?(/[^?#@\s]*)?$")
    )]
    pub account_url: String,

    /// The client id of the identity.
    #[schemars(
        length(max = 36),
        regex(pattern = r"^[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}$")
    )]
    pub client_id: String,
}
