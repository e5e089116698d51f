//! Step 1: reads what the resource refers to. The only step that makes keys.

use k8s_openapi::ByteString;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::Secret;
use kube::ResourceExt;
use notification_hub_crds::NotificationHub;
use notification_hub_crds::v1alpha1::KeyAlgorithm;

use crate::cluster::{CallError, Cluster};
use crate::keys::{KeyPair, NoKey, PRIVATE_ENTRY};
use crate::model::{names, ownership};

/// What the resource refers to.
#[derive(Debug, Default)]
pub struct Fetched {
    /// The Secret of `auth.signingKeys`.
    pub signing_keys: Option<Referenced>,
    /// The Secret of `source.azureQueue.connectionString`.
    pub connection_string: Option<Referenced>,
    /// The key pair of `auth.generate`.
    pub generated: Option<Generated>,
}

/// A Secret that the spec names.
#[derive(Debug)]
pub struct Referenced {
    /// Its name.
    pub name: String,
    /// The Secret, if it exists.
    pub secret: Option<Secret>,
}

/// The key pair of a hub.
#[derive(Debug)]
pub enum Generated {
    /// The one that is stored, or else a new one.
    Pair(KeyPair),
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
    /// The key pair.
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
    if let Some(keys) = &hub.spec.auth.signing_keys {
        let name = keys.secret_ref.name.clone();
        let secret = secret(cluster, hub, &name).await?;
        fetched.signing_keys = Some(Referenced { name, secret });
    }
    let queue = hub.spec.source.azure_queue.as_ref();
    if let Some(value) = queue.and_then(|queue| queue.connection_string.as_ref()) {
        let name = value.secret_key_ref.name.clone();
        let secret = secret(cluster, hub, &name).await?;
        fetched.connection_string = Some(Referenced { name, secret });
    }
    if let Some(generate) = &hub.spec.auth.generate {
        fetched.generated = Some(generated(cluster, hub, generate.algorithm.unwrap_or_default()).await?);
    }
    Ok(fetched)
}

/// The hub's Deployment as it is, for a pass that does not apply one.
pub async fn deployment(cluster: &Cluster, hub: &NotificationHub) -> Result<Option<Deployment>, Error> {
    let live = cluster.get::<Deployment>(&namespace(hub), &hub.name_any()).await.map_err(Error::Deployment)?;
    Ok(live.filter(|deployment| ownership::belongs_to(&deployment.metadata, &hub.uid().unwrap_or_default())))
}

async fn generated(cluster: &Cluster, hub: &NotificationHub, algorithm: KeyAlgorithm) -> Result<Generated, Error> {
    let name = names::jwt_secret(&hub.name_any());
    let stored = secret(cluster, hub, &name).await?;
    if let Some(secret) = stored {
        if !ownership::belongs_to(&secret.metadata, &hub.uid().unwrap_or_default()) {
            return Ok(Generated::Foreign(name));
        }
        let private = secret.data.as_ref().and_then(|data| data.get(PRIVATE_ENTRY));
        let text = private.and_then(|ByteString(bytes)| std::str::from_utf8(bytes).ok());
        if let Some(pair) = text.and_then(|text| KeyPair::read(text, algorithm)) {
            return Ok(Generated::Pair(pair));
        }
    }
    tracing::info!(secret = name, ?algorithm, "making a key pair");
    let made = tokio::task::spawn_blocking(move || KeyPair::generate(algorithm)).await.map_err(|_| NoKey)?;
    Ok(Generated::Pair(made?))
}

async fn secret(cluster: &Cluster, hub: &NotificationHub, name: &str) -> Result<Option<Secret>, Error> {
    let failed = |source| Error::Secret { name: name.to_owned(), source };
    cluster.get(&namespace(hub), name).await.map_err(failed)
}

fn namespace(hub: &NotificationHub) -> String {
    hub.namespace().unwrap_or_default()
}
