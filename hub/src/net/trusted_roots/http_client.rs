//! HTTP clients that trust the certificate authorities in use.

use std::sync::{PoisonError, RwLock};

use reqwest::{Client, ClientBuilder};

use super::roots_in_use::{current_roots, generation};

/// Returns the builder of an HTTP client with the trusted roots.
pub fn client_builder() -> ClientBuilder {
    let roots = current_roots().http_roots();
    let builder = Client::builder();
    if roots.is_empty() { builder } else { builder.tls_certs_merge(roots) }
}

/// Returns an HTTP client with the trusted roots and default settings.
pub fn default_client() -> Client {
    client_builder().build().unwrap_or_else(|error| {
        tracing::warn!(%error, "added certificate authorities unusable; only the system's are trusted");
        Client::new()
    })
}

/// An HTTP client that is rebuilt when the trusted roots change. Requests in progress are not interrupted.
#[derive(Debug)]
pub struct ReloadingHttpClient {
    configure: fn(ClientBuilder) -> ClientBuilder,
    /// The [`generation`] of the authorities when the client was built, and the client.
    built: RwLock<(u64, Client)>,
}

impl ReloadingHttpClient {
    /// Creates a client with the settings that `configure` adds.
    ///
    /// # Errors
    /// If TLS cannot be initialized.
    pub fn new(configure: fn(ClientBuilder) -> ClientBuilder) -> reqwest::Result<ReloadingHttpClient> {
        let generation = generation();
        Ok(ReloadingHttpClient { configure, built: RwLock::new((generation, configure(client_builder()).build()?)) })
    }

    /// Returns the client for the next request.
    pub fn get(&self) -> Client {
        let current = generation();
        let (generation, old) = self.built.read().unwrap_or_else(PoisonError::into_inner).clone();
        if generation == current {
            return old;
        }
        let new = (self.configure)(client_builder()).build().unwrap_or_else(|error| {
            tracing::warn!(%error, "changed certificate authorities unusable; the previous ones stay trusted");
            old
        });
        *self.built.write().unwrap_or_else(PoisonError::into_inner) = (current, new.clone());
        new
    }
}
