//! Who may connect and who may push: tokens, the keys that they are verified with, and what they say.
//!
//! `authenticator` is asked; `jwks_client` fetches an identity server's keys. `key`, `jwk_set` and `claims` perform no I/O; `key_files` reads the disk and `key_watch` again and again; `verifier` puts them together behind `claims_cache`.
//! `token_issuer` is the other side: tokens as Bitwarden's identity service makes them, for `dev`, `token` and tests.

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

/// Why a token was not accepted. The label is what `auth_failures_total{reason}` counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Rejection {
    /// No token was given.
    #[error("no token was given")]
    Missing,
    /// The text is no JWT, or a claim is not of its type.
    #[error("the token is malformed")]
    Malformed,
    /// No known key made this signature.
    #[error("the signature is invalid")]
    Signature,
    /// Past `exp` and the clock skew.
    #[error("the token is expired")]
    Expired,
    /// Before `nbf` and the clock skew.
    #[error("the token is not valid yet")]
    NotYet,
    /// `iss` is another one.
    #[error("the issuer is invalid")]
    Issuer,
    /// `aud` is none of the accepted ones.
    #[error("the audience is invalid")]
    Audience,
    /// The header's `typ` is not `at+jwt`.
    #[error("the token type is invalid")]
    Type,
    /// A valid token that does not carry what the endpoint asks for: 403, every other rejection is 401.
    #[error("the token does not have the scope")]
    Scope,
    /// The algorithm has no key here.
    #[error("there is no key for this token")]
    UnknownKey,
    /// There is no key at all yet: 503.
    #[error("no key is loaded yet")]
    Unavailable,
}

impl Rejection {
    /// The value of the metric's `reason` label.
    pub fn label(self) -> &'static str {
        match self {
            Rejection::Missing => "missing",
            Rejection::Malformed => "malformed",
            Rejection::Signature => "signature",
            Rejection::Expired => "expired",
            Rejection::NotYet => "not_yet",
            Rejection::Issuer => "issuer",
            Rejection::Audience => "audience",
            Rejection::Type => "type",
            Rejection::Scope => "scope",
            Rejection::UnknownKey | Rejection::Unavailable => "unknown_key",
        }
    }

    /// 403 for a good token without the scope, 503 as long as no token can be good, 401 for everything else.
    pub fn status(self) -> u16 {
        match self {
            Rejection::Scope => 403,
            Rejection::Unavailable => 503,
            _ => 401,
        }
    }

    /// The `WWW-Authenticate` header that goes with a 401 (`signalr.md` 7.2).
    pub fn challenge(self) -> Option<&'static str> {
        match self {
            Rejection::Scope | Rejection::Unavailable => None,
            Rejection::Missing => Some("Bearer"),
            Rejection::Expired => Some("Bearer error=\"invalid_token\", error_description=\"The token expired\""),
            Rejection::NotYet => {
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
