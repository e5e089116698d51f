//! Step 1: reads the objects that the resource refers to.

use std::collections::BTreeMap;

use k8s_openapi::ByteString;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use k8s_openapi::jiff::Timestamp;
use kube::ResourceExt;
use notification_hub_crds::NotificationHub;

use crate::cluster::{CallError, Cluster, Kind};
use crate::conditions::Exposure;
use crate::keys::{CONNECTION_TOKEN_ENTRY, ConnectionTokenKey, KeyGenerationError, KeyRing};
use crate::model::{names, ownership, references};
use crate::third_party::ThirdPartyKind;

/// Objects that the resource refers to.
#[derive(Debug, Default)]
pub struct FetchedReferences {
    /// Existing Secrets that the spec refers to.
    pub secrets: Secrets,
    /// Generated keys, or `None` without `auth.generate`.
    pub generated: Option<ManagedSecret<StoredKeys>>,
    /// Connection token key, or `None` without `backplane`.
    pub token_key: Option<ManagedSecret<ConnectionTokenKey>>,
}

/// Secrets by their names.
pub type Secrets = BTreeMap<String, Secret>;

/// Generated keys as they are stored.
#[derive(Debug)]
pub struct StoredKeys {
    /// The keys.
    pub ring: KeyRing,
    /// When the keys were read.
    pub at: Timestamp,
}

/// Content of a Secret that the operator generates and manages.
#[derive(Debug)]
pub enum ManagedSecret<T> {
    /// The stored content, or new content if the Secret does not exist.
    Owned(T),
    /// The hub does not own the existing Secret of this name.
    NotOwned(String),
}

/// Error of reading an object that the resource refers to.
#[derive(Debug, thiserror::Error)]
pub enum DereferenceError {
    /// A Secret cannot be read.
    #[error("Secret {name}: {source}")]
    Secret {
        /// Name of the Secret.
        name: String,
        /// Error of the call.
        source: CallError,
    },
    /// A child cannot be read.
    #[error("{kind}: {source}")]
    Child {
        /// Kind of the child.
        kind: String,
        /// Error of the call.
        source: CallError,
    },
    /// A key cannot be generated.
    #[error(transparent)]
    Key(#[from] KeyGenerationError),
}

impl DereferenceError {
    /// Returns the category of the error, for the label of a metric.
    pub fn category(&self) -> &'static str {
        match self {
            DereferenceError::Secret { source, .. } | DereferenceError::Child { source, .. } => source.category(),
            DereferenceError::Key(_) => "key",
        }
    }
}

/// Reads the objects that `hub` refers to, at `now`. Generates a connection token key if there is none.
pub async fn dereference(
    cluster: &Cluster,
    hub: &NotificationHub,
    now: Timestamp,
) -> Result<FetchedReferences, DereferenceError> {
    let mut fetched = FetchedReferences::default();
    for name in references::secrets(&hub.spec) {
        if let Some(secret) = secret(cluster, hub, name).await? {
            fetched.secrets.insert(name.to_owned(), secret);
        }
    }
    if hub.spec.auth.generate.is_some() {
        fetched.generated = Some(generated(cluster, hub, now).await?);
    }
    if hub.spec.backplane.is_some() {
        fetched.token_key = Some(token_key(cluster, hub).await?);
    }
    Ok(fetched)
}

/// Reads the live Deployment, for a reconcile that does not apply it. Returns `None` if it does not exist or the hub does
/// not own it.
pub async fn deployment(cluster: &Cluster, hub: &NotificationHub) -> Result<Option<Deployment>, DereferenceError> {
    child(cluster, hub).await
}

/// Reads the live objects that expose the hub and that the spec asks for. Leaves out kinds that are `unserved`.
pub async fn exposure(
    cluster: &Cluster,
    hub: &NotificationHub,
    unserved: &[ThirdPartyKind],
) -> Result<Exposure, DereferenceError> {
    let mut exposure = Exposure::default();
    let Some(expose) = &hub.spec.expose else { return Ok(exposure) };
    if expose.ingress.is_some() {
        exposure.ingress = child(cluster, hub).await?;
    }
    if expose.http_route.is_some() && !unserved.contains(&ThirdPartyKind::HttpRoute) {
        exposure.http_route = match child(cluster, hub).await {
            // The apply step reports the missing permission.
            Err(error) if error.category() == "forbidden" => None,
            result => result?,
        };
    }
    Ok(exposure)
}

/// Reads the child with the name of the hub. Returns `None` if it does not exist or the hub does not own it.
async fn child<K: Kind>(cluster: &Cluster, hub: &NotificationHub) -> Result<Option<K>, DereferenceError> {
    let failed = |source| DereferenceError::Child { kind: K::kind(&()).into_owned(), source };
    let live = cluster.get::<K>(&namespace(hub), &hub.name_any()).await.map_err(failed)?;
    Ok(live.filter(|child| ownership::is_controlled_by(child.meta(), &hub.uid().unwrap_or_default())))
}

/// Reads the generated keys. Returns an empty key ring if the Secret does not exist.
async fn generated(
    cluster: &Cluster,
    hub: &NotificationHub,
    now: Timestamp,
) -> Result<ManagedSecret<StoredKeys>, DereferenceError> {
    let name = names::jwt_secret(&hub.name_any());
    let Some(Secret { metadata, data, .. }) = secret(cluster, hub, &name).await? else {
        return Ok(ManagedSecret::Owned(StoredKeys { ring: KeyRing::default(), at: now }));
    };
    if !ownership::is_adoptable_by(&metadata, &hub.uid().unwrap_or_default()) {
        return Ok(ManagedSecret::NotOwned(name));
    }
    let created = metadata.creation_timestamp.map_or(now, |Time(time)| time);
    Ok(ManagedSecret::Owned(StoredKeys {
        ring: KeyRing::from_entries(&data.unwrap_or_default(), created, now),
        at: now,
    }))
}

/// Reads the connection token key. Generates one if the Secret does not exist or its key is too short.
async fn token_key(
    cluster: &Cluster,
    hub: &NotificationHub,
) -> Result<ManagedSecret<ConnectionTokenKey>, DereferenceError> {
    let name = names::tokens_secret(&hub.name_any());
    if let Some(secret) = secret(cluster, hub, &name).await? {
        if !ownership::is_adoptable_by(&secret.metadata, &hub.uid().unwrap_or_default()) {
            return Ok(ManagedSecret::NotOwned(name));
        }
        let stored = secret.data.as_ref().and_then(|data| data.get(CONNECTION_TOKEN_ENTRY));
        if let Some(key) = stored.and_then(|ByteString(bytes)| ConnectionTokenKey::from_bytes(bytes)) {
            return Ok(ManagedSecret::Owned(key));
        }
    }
    tracing::info!(secret = name, "generating a connection token key");
    Ok(ManagedSecret::Owned(ConnectionTokenKey::generate()?))
}

/// Reads a Secret. Returns `None` if it does not exist.
async fn secret(cluster: &Cluster, hub: &NotificationHub, name: &str) -> Result<Option<Secret>, DereferenceError> {
    let failed = |source| DereferenceError::Secret { name: name.to_owned(), source };
    cluster.get(&namespace(hub), name).await.map_err(failed)
}

fn namespace(hub: &NotificationHub) -> String {
    hub.namespace().unwrap_or_default()
}
