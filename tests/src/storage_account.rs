//! An account of Azure Storage for Azurite, with a key that is generated in each run.

use std::net::SocketAddr;

use anyhow::{Context, Result};
use aws_lc_rs::hmac;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;

use crate::secrets;
use crate::storage_queue::StorageQueue;

/// The account's name.
const NAME: &str = "testaccount";

/// All permissions of queues.
const ALL_PERMISSIONS: &str = "rwdlacup";

/// An account with its key.
pub struct StorageAccount {
    key: String,
}

impl StorageAccount {
    /// Generates an account.
    pub fn generate() -> Self {
        let key = BASE64_STANDARD.encode(uuid::Uuid::new_v4().to_string());
        secrets::register(&key);
        Self { key }
    }

    /// Returns its key.
    pub fn key(&self) -> &str {
        &self.key
    }

    /// Returns the value of `AZURITE_ACCOUNTS`, the environment variable of Azurite.
    pub fn azurite_accounts(&self) -> String {
        format!("{NAME}:{}", self.key)
    }

    /// Returns a connection string with the key, for an Azurite at a URL.
    pub fn connection_string(&self, azurite: &str) -> String {
        let key = &self.key;
        format!("DefaultEndpointsProtocol=http;AccountName={NAME};AccountKey={key};QueueEndpoint={azurite}/{NAME};")
    }

    /// Returns a connection string with a shared access signature.
    pub fn sas_connection_string(&self, azurite: &str) -> Result<String> {
        self.sas_connection_string_with(azurite, ALL_PERMISSIONS)
    }

    /// Returns a connection string with a shared access signature that has these permissions of queues.
    pub fn sas_connection_string_with(&self, azurite: &str, permissions: &str) -> Result<String> {
        let signature = self.shared_access_signature(permissions)?;
        Ok(format!("QueueEndpoint={azurite}/{NAME};SharedAccessSignature={signature}"))
    }

    /// Returns a queue of an Azurite, without a request.
    pub fn queue(&self, azurite: SocketAddr, name: &str) -> Result<StorageQueue> {
        Ok(StorageQueue::new(azurite, &format!("/{NAME}/{name}"), &self.shared_access_signature(ALL_PERMISSIONS)?))
    }

    /// Returns a shared access signature with these permissions of queues.
    fn shared_access_signature(&self, permissions: &str) -> Result<String> {
        let (end, version) = ("2099-01-01T00:00:00Z", "2018-11-09");
        let text = format!("{NAME}\n{permissions}\nq\nsco\n\n{end}\n\nhttp,https\n{version}\n");
        let key = BASE64_STANDARD.decode(&self.key).context("the key")?;
        let signature = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &key), text.as_bytes());
        let signature = BASE64_STANDARD.encode(signature);
        secrets::register(&signature);
        let signature = signature.replace('+', "%2B").replace('/', "%2F").replace('=', "%3D");
        secrets::register(&signature);
        Ok(format!("sv={version}&ss=q&srt=sco&sp={permissions}&se={end}&spr=http,https&sig={signature}"))
    }
}
