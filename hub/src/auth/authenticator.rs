//! Says who is behind a token, with the keys that are known or, where those do not fit, with newer ones.

use std::sync::Arc;

use super::bearer::BearerToken;
use super::keys::jwks_client::JwksClient;
use super::{Claims, Policy, Rejection, Verifier};

/// What everything that takes tokens asks.
pub struct Authenticator {
    /// The keys that are known.
    pub verifier: Arc<Verifier>,
    /// Where there may be newer ones.
    pub authority: Option<Arc<JwksClient>>,
}

impl Authenticator {
    /// Whether it is worth to fetch newer keys for a token that was rejected.
    pub fn should_refresh_keys(&self, token: &BearerToken, rejection: Rejection) -> bool {
        let about_keys = matches!(rejection, Rejection::Signature | Rejection::UnknownKey | Rejection::Unavailable);
        self.authority.is_some() && about_keys && !self.verifier.has_key_for(token)
    }

    /// Verifies a token; if no key fits, once more with keys that are fetched now (`decisions.md` 3).
    ///
    /// # Errors
    /// Why the token is not good.
    pub async fn authenticate(&self, token: &BearerToken, policy: Policy) -> Result<Arc<Claims>, Rejection> {
        let verdict = self.verifier.verify(token, policy);
        match verdict {
            Err(rejection) if self.should_refresh_keys(token, rejection) => {
                self.verify_after_refresh(token, policy).await
            }
            verdict => verdict,
        }
    }

    /// Verifies a token with keys that are fetched now, once [`Self::should_refresh_keys`] has said so.
    ///
    /// # Errors
    /// Why the token is not good.
    pub async fn verify_after_refresh(&self, token: &BearerToken, policy: Policy) -> Result<Arc<Claims>, Rejection> {
        if let Some(authority) = &self.authority {
            authority.refresh().await;
        }
        self.verifier.verify(token, policy)
    }
}
