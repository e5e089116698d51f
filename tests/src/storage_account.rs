//! An account of Azure Storage, as Azurite is given it, with a key that is made anew in every run.

use std::net::SocketAddr;

use anyhow::{Context, Result};
use aws_lc_rs::hmac;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;

use crate::secrets;
use crate::storage_queue::StorageQueue;

/// The account's name.
const NAME: &str = "testaccount";

/// All that can be done with queues.
const ALL: &str = "rwdlacup";

/// An account.
pub struct StorageAccount {
    key: String,
}

impl StorageAccount {
    /// A new one.
    pub fn generate() -> Self {
        let key = BASE64_STANDARD.encode(uuid::Uuid::new_v4().to_string());
        secrets::keep(&key);
        Self { key }
    }

    /// Its key.
    pub fn key(&self) -> &str {
        &self.key
    }

    /// Name and key, as Azurite reads them in `AZURITE_ACCOUNTS`.
    pub fn for_azurite(&self) -> String {
        format!("{NAME}:{}", self.key)
    }

    /// A connection string with the key, to an Azurite at a URL.
    pub fn connection_string(&self, azurite: &str) -> String {
        let key = &self.key;
        format!("DefaultEndpointsProtocol=http;AccountName={NAME};AccountKey={key};QueueEndpoint={azurite}/{NAME};")
    }

    /// A connection string with a shared access signature.
    pub fn signed_connection_string(&self, azurite: &str) -> Result<String> {
        Ok(format!("QueueEndpoint={azurite}/{NAME};SharedAccessSignature={}", self.signature(ALL)?))
    }

    /// A connection string with a shared access signature that lets nobody create a queue.
    pub fn limited_connection_string(&self, azurite: &str) -> Result<String> {
        Ok(format!("QueueEndpoint={azurite}/{NAME};SharedAccessSignature={}", self.signature("raup")?))
    }

    /// A queue of an Azurite, for which nothing is asked yet.
    pub fn queue(&self, azurite: SocketAddr, name: &str) -> Result<StorageQueue> {
        Ok(StorageQueue::new(azurite, &format!("/{NAME}/{name}"), &self.signature(ALL)?))
    }

    /// A shared access signature with these rights on queues.
    fn signature(&self, rights: &str) -> Result<String> {
        let (end, version) = ("2099-01-01T00:00:00Z", "2018-11-09");
        let text = format!("{NAME}\n{rights}\nq\nsco\n\n{end}\n\nhttp,https\n{version}\n");
        let key = BASE64_STANDARD.decode(&self.key).context("the key")?;
        let signature = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &key), text.as_bytes());
        let signature = BASE64_STANDARD.encode(signature);
        secrets::keep(&signature);
        let signature = signature.replace('+', "%2B").replace('/', "%2F").replace('=', "%3D");
        secrets::keep(&signature);
        Ok(format!("sv={version}&ss=q&srt=sco&sp={rights}&se={end}&spr=http,https&sig={signature}"))
    }
}
