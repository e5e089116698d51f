//! Step 1: reads what the resource refers to. The only step that makes keys.

use std::collections::BTreeMap;

use k8s_openapi::ByteString;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::Secret;
use kube::ResourceExt;
use notification_hub_crds::NotificationHub;
use notification_hub_crds::v1alpha1::KeyAlgorithm;

use crate::cluster::{CallError, Cluster};
use crate::keys::{CONNECTION_TOKEN_ENTRY, ConnectionTokenKey, KeyPair, NoKey, PRIVATE_ENTRY};
use crate::model::{names, ownership, references};

/// What the resource refers to.
#[derive(Debug, Default)]
pub struct Fetched {
    /// The Secrets that the spec names, as far as they exist.
    pub secrets: Secrets,
    /// The key pair of `auth.generate`.
    pub generated: Option<Kept<KeyPair>>,
    /// The key that replicas share, where there is a `backplane`.
    pub token_key: Option<Kept<ConnectionTokenKey>>,
}

/// Secrets by their names.
pub type Secrets = BTreeMap<String, Secret>;

/// A secret that the operator makes and keeps.
#[derive(Debug)]
pub enum Kept<T> {
    /// The one that is stored, or else a new one.
    Ours(T),
    /// Somebody else's Secret has its name.
    Foreign(String),
}

/// Why it could not be read.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A Secret.
    #[error("Secret {name}: {source}")]
    Secret {
        /// Its name.
        name: String,
        /// What went wrong.
        source: CallError,
    },
    /// The Deployment.
    #[error("Deployment: {0}")]
    Deployment(#[source] CallError),
    /// A key that is made.
    #[error(transparent)]
    Key(#[from] NoKey),
}

impl Error {
    /// What kind of failure it was.
    pub fn category(&self) -> &'static str {
        match self {
            Error::Secret { source, .. } | Error::Deployment(source) => source.category(),
            Error::Key(_) => "key",
        }
    }
}

/// Reads what `hub` refers to.
pub async fn dereference(cluster: &Cluster, hub: &NotificationHub) -> Result<Fetched, Error> {
    let mut fetched = Fetched::default();
    for name in references::secrets(&hub.spec) {
        if let Some(secret) = secret(cluster, hub, name).await? {
            fetched.secrets.insert(name.to_owned(), secret);
        }
    }
    if let Some(generate) = &hub.spec.auth.generate {
        fetched.generated = Some(generated(cluster, hub, generate.algorithm.unwrap_or_default()).await?);
    }
    if hub.spec.backplane.is_some() {
        fetched.token_key = Some(token_key(cluster, hub).await?);
    }
    Ok(fetched)
}

/// The hub's Deployment as it is, for a pass that does not apply one.
pub async fn deployment(cluster: &Cluster, hub: &NotificationHub) -> Result<Option<Deployment>, Error> {
    let live = cluster.get::<Deployment>(&namespace(hub), &hub.name_any()).await.map_err(Error::Deployment)?;
    Ok(live.filter(|deployment| ownership::belongs_to(&deployment.metadata, &hub.uid().unwrap_or_default())))
}

async fn generated(cluster: &Cluster, hub: &NotificationHub, algorithm: KeyAlgorithm) -> Result<Kept<KeyPair>, Error> {
    let name = names::jwt_secret(&hub.name_any());
    let read = |stored: &[u8]| KeyPair::read(std::str::from_utf8(stored).ok()?, algorithm);
    if let Some(kept) = kept(cluster, hub, &name, PRIVATE_ENTRY, read).await? {
        return Ok(kept);
    }
    tracing::info!(secret = name, ?algorithm, "making a key pair");
    let made = tokio::task::spawn_blocking(move || KeyPair::generate(algorithm)).await.map_err(|_| NoKey)?;
    Ok(Kept::Ours(made?))
}

async fn token_key(cluster: &Cluster, hub: &NotificationHub) -> Result<Kept<ConnectionTokenKey>, Error> {
    let name = names::tokens_secret(&hub.name_any());
    if let Some(kept) = kept(cluster, hub, &name, CONNECTION_TOKEN_ENTRY, ConnectionTokenKey::read).await? {
        return Ok(kept);
    }
    tracing::info!(secret = name, "making a key for connection tokens");
    Ok(Kept::Ours(ConnectionTokenKey::generate()?))
}

/// What is stored in an entry of a Secret that the operator makes; nothing if it has to be made.
async fn kept<T>(
    cluster: &Cluster,
    hub: &NotificationHub,
    name: &str,
    entry: &str,
    read: impl Fn(&[u8]) -> Option<T>,
) -> Result<Option<Kept<T>>, Error> {
    let Some(secret) = secret(cluster, hub, name).await? else { return Ok(None) };
    if !ownership::belongs_to(&secret.metadata, &hub.uid().unwrap_or_default()) {
        return Ok(Some(Kept::Foreign(name.to_owned())));
    }
    let stored = secret.data.as_ref().and_then(|data| data.get(entry));
    Ok(stored.and_then(|ByteString(bytes)| read(bytes)).map(Kept::Ours))
}

async fn secret(cluster: &Cluster, hub: &NotificationHub, name: &str) -> Result<Option<Secret>, Error> {
    let failed = |source| Error::Secret { name: name.to_owned(), source };
    cluster.get(&namespace(hub), name).await.map_err(failed)
}

fn namespace(hub: &NotificationHub) -> String {
    hub.namespace().unwrap_or_default()
}
