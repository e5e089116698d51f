//! Verifies tokens with the loaded keys. If none fits, it fetches newer keys and verifies once more.

use std::sync::Arc;

use super::bearer::BearerToken;
use super::keys::jwks_client::JwksClient;
use super::{Claims, Policy, Rejection, Verifier};

/// Verifies the tokens of clients and senders.
pub struct Authenticator {
    /// The verifier, which holds the loaded keys.
    pub verifier: Arc<Verifier>,
    /// The client that fetches newer keys, if there is an identity server.
    pub jwks_client: Option<Arc<JwksClient>>,
}

impl Authenticator {
    /// Returns `true` if newer keys might verify a token that was rejected.
    pub fn should_refresh_keys(&self, token: &BearerToken, rejection: Rejection) -> bool {
        let about_keys = matches!(rejection, Rejection::Signature | Rejection::UnknownKey | Rejection::Unavailable);
        self.jwks_client.is_some() && about_keys && !self.verifier.has_key_for(token)
    }

    /// Verifies a token. If no key fits, fetches the keys and verifies once more (`decisions.md` 3).
    ///
    /// # Errors
    /// Returns why the token is rejected.
    pub async fn authenticate(&self, token: &BearerToken, policy: Policy) -> Result<Arc<Claims>, Rejection> {
        let result = self.verifier.verify(token, policy);
        match result {
            Err(rejection) if self.should_refresh_keys(token, rejection) => {
                self.verify_after_refresh(token, policy).await
            }
            result => result,
        }
    }

    /// Fetches the keys, unless they were fetched just before, and verifies a token with them. For tokens that
    /// [`Self::should_refresh_keys`] returns `true` for.
    ///
    /// # Errors
    /// Returns why the token is rejected.
    pub async fn verify_after_refresh(&self, token: &BearerToken, policy: Policy) -> Result<Arc<Claims>, Rejection> {
        if let Some(jwks_client) = &self.jwks_client {
            jwks_client.refresh().await;
        }
        self.verifier.verify(token, policy)
    }
}
