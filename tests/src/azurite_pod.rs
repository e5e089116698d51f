//! Azurite in a pod, with an account of its own.

use anyhow::Result;
use serde_json::json;
use uuid::Uuid;

use crate::cluster::run;
use crate::namespace::Namespace;
use crate::storage_account::StorageAccount;
use crate::storage_queue::StorageQueue;
use crate::{install, part, programs};

/// Azurite's port for queues.
const PORT: u16 = 10001;

/// Azurite, in a pod.
pub struct AzuritePod {
    account: StorageAccount,
    connection_string: String,
}

impl AzuritePod {
    /// Starts one called `azurite`, once in a namespace.
    pub fn start(namespace: &Namespace) -> Result<Self> {
        let account = StorageAccount::generate();
        let url = format!("http://azurite.{}.svc:{PORT}", namespace.name);
        let connection_string = account.connection_string(&url);
        namespace.set_secret("azurite", "accounts", &account.for_azurite())?;
        let image = install::image_name(namespace.cluster, "AZURITE_IMAGE", "nhub.test/azurite:test")?;
        let port = PORT.to_string();
        let accounts = json!({"secretKeyRef": {"name": "azurite", "key": "accounts"}});
        let container = json!({
            "image": image, "workingDir": "/tmp",
            "command": ["azurite-queue", "--queueHost", "0.0.0.0", "--queuePort", port],
            // A name of a Service is none of an account; and a log of requests would tell their signatures.
            "args": [
                "--disableProductStyleUrl", "--silent", "--inMemoryPersistence", "--skipApiVersionCheck",
                "--disableTelemetry",
            ],
            "env": [{"name": "AZURITE_ACCOUNTS", "valueFrom": accounts}],
        });
        part::start(namespace, "azurite", PORT, container, &json!([]))?;
        Ok(Self { account, connection_string })
    }

    /// The key of its account.
    pub fn key(&self) -> &str {
        self.account.key()
    }

    /// The connection string with the key.
    pub fn connection_string(&self) -> &str {
        &self.connection_string
    }

    /// Does something with the queue of Bitwarden's senders.
    pub fn queue(&self, namespace: &Namespace, act: impl FnOnce(&StorageQueue) -> Result<()> + Send) -> Result<()> {
        self.queue_called(namespace, "notifications", act)
    }

    /// Does something with a queue.
    pub fn queue_called(
        &self,
        namespace: &Namespace,
        name: &str,
        act: impl FnOnce(&StorageQueue) -> Result<()> + Send,
    ) -> Result<()> {
        let reach = namespace.reach("azurite", PORT)?;
        let queue = self.account.queue(reach.address, name)?;
        namespace.cluster.inside(|| act(&queue))
    }

    /// Puts a push to a user on the queue, as .NET's sender writes it; the id of its cipher.
    pub fn push(&self, namespace: &Namespace, user: &str) -> Result<String> {
        let reach = namespace.reach("azurite", PORT)?;
        let cipher = Uuid::new_v4().to_string();
        let members = json!({"Id": cipher, "CollectionIds": []}).to_string();
        let mut command = namespace.cluster.command(programs::find("notification-hub")?);
        command.args(["push", "--queue", &self.account.connection_string(&reach.url)]);
        run(command.args(["--type", "SyncCipherUpdate", "--user", user, "--payload", &members]))?;
        Ok(cipher)
    }
}
