//! Azurite in a pod, with a new account.

use anyhow::Result;
use serde_json::json;
use uuid::Uuid;

use crate::cluster::run;
use crate::namespace::Namespace;
use crate::storage_account::StorageAccount;
use crate::storage_queue::StorageQueue;
use crate::{install, programs, service_pod};

/// The port of its queue service.
const PORT: u16 = 10001;

/// A running Azurite in a pod.
pub struct AzuritePod {
    account: StorageAccount,
    connection_string: String,
}

impl AzuritePod {
    /// Starts the pod `azurite`. At most one in a namespace.
    pub fn start(namespace: &Namespace) -> Result<Self> {
        let account = StorageAccount::generate();
        let url = format!("http://azurite.{}.svc:{PORT}", namespace.name);
        let connection_string = account.connection_string(&url);
        namespace.set_secret("azurite", "accounts", &account.azurite_accounts())?;
        let image = install::image_name(namespace.cluster, "AZURITE_IMAGE", "nhub.test/azurite:test")?;
        let port = PORT.to_string();
        let accounts = json!({"secretKeyRef": {"name": "azurite", "key": "accounts"}});
        let container = json!({
            "image": image, "workingDir": "/tmp",
            "command": ["azurite-queue", "--queueHost", "::", "--queuePort", port],
            // The name of a Service is not that of an account. A log of requests would contain their signatures.
            "args": [
                "--disableProductStyleUrl", "--silent", "--inMemoryPersistence", "--skipApiVersionCheck",
                "--disableTelemetry",
            ],
            "env": [{"name": "AZURITE_ACCOUNTS", "valueFrom": accounts}],
        });
        service_pod::start(namespace, "azurite", PORT, container, &json!([]))?;
        Ok(Self { account, connection_string })
    }

    /// Returns the key of its account.
    pub fn key(&self) -> &str {
        self.account.key()
    }

    /// Returns the connection string with the key, for pods.
    pub fn connection_string(&self) -> &str {
        &self.connection_string
    }

    /// Runs a function with the queue `notifications`, inside the cluster's network.
    pub fn with_queue(
        &self,
        namespace: &Namespace,
        act: impl FnOnce(&StorageQueue) -> Result<()> + Send,
    ) -> Result<()> {
        self.with_queue_named(namespace, "notifications", act)
    }

    /// Runs a function with a queue, inside the cluster's network.
    pub fn with_queue_named(
        &self,
        namespace: &Namespace,
        name: &str,
        act: impl FnOnce(&StorageQueue) -> Result<()> + Send,
    ) -> Result<()> {
        let endpoint = namespace.endpoint("azurite", PORT)?;
        let queue = self.account.queue(endpoint.address, name)?;
        namespace.cluster.run_inside(|| act(&queue))
    }

    /// Sends a push to a user through the queue, as .NET's sender writes it. Returns the id of its cipher.
    pub fn push(&self, namespace: &Namespace, user: &str) -> Result<String> {
        let endpoint = namespace.endpoint("azurite", PORT)?;
        let cipher = Uuid::new_v4().to_string();
        let members = json!({"Id": cipher, "CollectionIds": []}).to_string();
        let mut command = namespace.cluster.command(programs::find("notification-hub")?);
        command.args(["push", "--queue", &self.account.connection_string(&endpoint.url)]);
        run(command.args(["--type", "SyncCipherUpdate", "--user", user, "--payload", &members]))?;
        Ok(cipher)
    }
}
