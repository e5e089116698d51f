//! Authentication and authorization of clients and senders: tokens, their claims, and the keys that verify them.
//!
//! `authenticator` is the entry point. `verifier` verifies tokens with the loaded keys and caches the results in `claims_cache`.
//! `keys` loads the keys. `token_issuer` issues tokens like those of Bitwarden's identity service, for the commands `dev` and
//! `token` and for tests.

pub mod authenticator;
pub mod bearer;
pub mod challenge;
pub mod claims;
mod claims_cache;
mod digest;
pub mod keys;
pub mod principal;
pub mod query;
mod rejection_log;
pub mod token_issuer;
pub mod verifier;

pub use authenticator::Authenticator;
pub use claims::{Claims, Policy};
pub use principal::Principal;
pub use query::Query;
pub use verifier::Verifier;

/// The reason for which a token is rejected. [`Rejection::label`] is the label of `auth_failures_total{reason}`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Rejection {
    /// The request has no token.
    #[error("no token was given")]
    Missing,
    /// The token is not a JWT, or a claim has the wrong type.
    #[error("the token is malformed")]
    Malformed,
    /// No loaded key verifies the signature.
    #[error("the signature is invalid")]
    Signature,
    /// `exp` plus the clock skew is over.
    #[error("the token is expired")]
    Expired,
    /// `nbf` minus the clock skew is in the future.
    #[error("the token is not valid yet")]
    NotYetValid,
    /// `iss` is not the expected issuer.
    #[error("the issuer is invalid")]
    Issuer,
    /// `aud` names no accepted audience.
    #[error("the audience is invalid")]
    Audience,
    /// The header's `typ` is not `at+jwt`.
    #[error("the token type is invalid")]
    Type,
    /// The token is valid, but does not satisfy the policy of the endpoint.
    #[error("the token does not have the scope")]
    Scope,
    /// No loaded key has the algorithm of the token.
    #[error("there is no key for this token")]
    UnknownKey,
    /// No key is loaded yet.
    #[error("no key is loaded yet")]
    Unavailable,
}

impl Rejection {
    /// Returns the value of the metric's `reason` label.
    pub fn label(self) -> &'static str {
        match self {
            Rejection::Missing => "missing",
            Rejection::Malformed => "malformed",
            Rejection::Signature => "signature",
            Rejection::Expired => "expired",
            Rejection::NotYetValid => "not_yet",
            Rejection::Issuer => "issuer",
            Rejection::Audience => "audience",
            Rejection::Type => "type",
            Rejection::Scope => "scope",
            Rejection::UnknownKey | Rejection::Unavailable => "unknown_key",
        }
    }

    /// Returns the HTTP status: 403 for a valid token without the scope, 503 while no key is loaded, 401 otherwise.
    pub fn status(self) -> u16 {
        match self {
            Rejection::Scope => 403,
            Rejection::Unavailable => 503,
            _ => 401,
        }
    }

    /// Returns the `WWW-Authenticate` header of a 401 (`signalr.md` 7.2), or `None` for other statuses.
    pub fn challenge(self) -> Option<&'static str> {
        match self {
            Rejection::Scope | Rejection::Unavailable => None,
            Rejection::Missing => Some("Bearer"),
            Rejection::Expired => Some("Bearer error=\"invalid_token\", error_description=\"The token expired\""),
            Rejection::NotYetValid => {
                Some("Bearer error=\"invalid_token\", error_description=\"The token is not valid yet\"")
            }
            Rejection::Signature | Rejection::UnknownKey => {
                Some("Bearer error=\"invalid_token\", error_description=\"The signature is invalid\"")
            }
            Rejection::Issuer => Some("Bearer error=\"invalid_token\", error_description=\"The issuer is invalid\""),
            Rejection::Malformed | Rejection::Audience | Rejection::Type => Some("Bearer error=\"invalid_token\""),
        }
    }
}
