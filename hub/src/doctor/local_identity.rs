//! Checks the identity server, its clock, and whether the hub accepts a token.

use std::time::Duration;

use jiff::Timestamp;

use super::clock;
use super::report::{Advice, Finding, Report};
use crate::auth::bearer::BearerToken;
use crate::auth::claims::ValidationRules;
use crate::auth::keys::discovery_client::{DiscoveryClient, JwksError, PublishedKeys};
use crate::auth::keys::key_files::ParsedKeys;
use crate::auth::verifier::KeySource;
use crate::auth::{Policy, Rejection, Verifier};
use crate::config::Config;
use crate::observability::error_chain::ErrorChain;

const CONFIGURATION: &str = "docs/configuration.md#keys";

/// Checks `auth.authority`, and verifies the token with all keys. `keys` are those of files.
pub(super) async fn check(
    config: &Config,
    keys: Option<ParsedKeys>,
    token: Option<&BearerToken>,
    report: &mut Report<'_>,
) {
    let auth = &config.auth;
    let rules = ValidationRules {
        issuer: auth.issuer.clone(),
        audiences: auth.audiences.clone(),
        clock_skew: auth.clock_skew.as_secs_f64(),
    };
    let verifier = Verifier::new(rules, keys.map(|parsed| parsed.keys).unwrap_or_default());
    if let Some(url) = &auth.authority {
        let published = match DiscoveryClient::new(url) {
            Ok(client) => client.fetch().await,
            Err(source) => Err(JwksError::Unreachable { document: "the discovery document", source }),
        };
        match published {
            Ok(published) => {
                report.add(check_issuer(auth.issuer.as_deref(), &published));
                let date = published.date.as_deref().and_then(clock::parse_http_date);
                if let Some(date) = date {
                    report.add(clock::compare("clock", "the issuer", date, Timestamp::now(), auth.clock_skew));
                }
                verifier.replace_keys(KeySource::Authority, published.keys);
            }
            Err(error) => _ = report.add(unreachable(url, &error)),
        }
    }
    if let Some(token) = token {
        report.add(check_token(&verifier, token, auth.clock_skew));
    }
}

/// Returns the finding about the issuer in the discovery document.
fn check_issuer(expected: Option<&str>, published: &PublishedKeys) -> Finding {
    let (count, issuer) = (published.keys.len(), &*published.issuer);
    if let Some(expected) = expected.filter(|expected| *expected != issuer) {
        let advice = Advice {
            meaning: "the hub refuses every token of this identity server with 401",
            remedy: "set auth.issuer to the issuer of the discovery document, or remove auth.issuer",
            page: CONFIGURATION,
        };
        let seen = format!("the issuer is {issuer:?}, and auth.issuer is {expected:?}");
        return Finding::fail("discovery", seen, advice);
    }
    Finding::ok("discovery", format!("keys of the issuer {issuer:?}: {count}"))
}

fn unreachable(url: &str, error: &JwksError) -> Finding {
    let advice = Advice {
        meaning: "until the hub has fetched the keys once, clients get 503",
        remedy: "check auth.authority, the network and the identity server",
        page: "docs/troubleshooting.md#clients",
    };
    Finding::fail("discovery", format!("{url}: {}", ErrorChain(error)), advice)
}

/// Returns the finding about a token.
fn check_token(verifier: &Verifier, token: &BearerToken, clock_skew: Duration) -> Finding {
    match verifier.verify(token, Policy::Application) {
        Ok(claims) => {
            let now = Timestamp::now().as_second() as f64;
            let left = (claims.valid_until - clock_skew.as_secs_f64() - now).max(0.0);
            let user = claims.user.map_or_else(|| "no user".to_owned(), |user| format!("user {user}"));
            Finding::ok("token", format!("{user}, valid for {left:.0} s"))
        }
        Err(rejection) => Finding::fail("token", rejection.to_string(), token_advice(rejection)),
    }
}

fn token_advice(rejection: Rejection) -> Advice {
    let remedy = match rejection {
        Rejection::Expired | Rejection::NotYetValid => "get a new token, and compare the clocks",
        Rejection::Issuer => "compare the token's iss with auth.issuer and with the issuer of discovery",
        Rejection::Audience => "compare the token's aud with auth.audiences",
        Rejection::Scope => "give the token of a user, not that of a sender",
        Rejection::Signature | Rejection::UnknownKey | Rejection::Unavailable => {
            "compare the token's kid with the keys of auth.keys and of auth.authority"
        }
        Rejection::Missing | Rejection::Malformed | Rejection::Type => "give an access token of the identity server",
    };
    Advice { meaning: "the hub refuses this client", remedy, page: "docs/troubleshooting.md#clients" }
}
