//! Says who is behind a token, with the keys that are known or, where those do not fit, with newer ones.

use std::sync::Arc;

use super::authority::Authority;
use super::bearer::Bearer;
use super::{Claims, Policy, Rejection, Verifier};

/// What everything that takes tokens asks.
pub struct Authenticator {
    /// The keys that are known.
    pub verifier: Arc<Verifier>,
    /// Where there may be newer ones.
    pub authority: Option<Arc<Authority>>,
}

impl Authenticator {
    /// Whether it is worth to fetch newer keys for a token that was rejected.
    pub fn newer_keys_may_help(&self, token: &Bearer, rejection: Rejection) -> bool {
        let about_keys = matches!(rejection, Rejection::Signature | Rejection::UnknownKey | Rejection::Unavailable);
        self.authority.is_some() && about_keys && !self.verifier.knows_key_of(token)
    }

    /// Verifies a token; if no key fits, once more with keys that are fetched now (`decisions.md` 3).
    ///
    /// # Errors
    /// Why the token is not good.
    pub async fn authenticate(&self, token: &Bearer, policy: Policy) -> Result<Arc<Claims>, Rejection> {
        let verdict = self.verifier.verify(token, policy);
        match verdict {
            Err(rejection) if self.newer_keys_may_help(token, rejection) => self.with_newer_keys(token, policy).await,
            verdict => verdict,
        }
    }

    /// Verifies a token with keys that are fetched now, once [`Self::newer_keys_may_help`] has said so.
    ///
    /// # Errors
    /// Why the token is not good.
    pub async fn with_newer_keys(&self, token: &Bearer, policy: Policy) -> Result<Arc<Claims>, Rejection> {
        if let Some(authority) = &self.authority {
            authority.refresh().await;
        }
        self.verifier.verify(token, policy)
    }
}
