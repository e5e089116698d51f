//! Checks the files that the configuration names: certificate authorities, keys and credentials.

use super::report::{Advice, Finding, Report};
use crate::auth::keys::key_files::ParsedKeys;
use crate::config::Config;
use crate::net::trusted_roots;
use crate::server::preflight::{Preflight, PreflightError};

const STARTUP: &str = "docs/troubleshooting.md#a-hub-that-does-not-start";

/// What further checks need.
pub(super) struct LoadedFiles {
    /// The keys of `auth.keys`. `None` if there are none or they cannot be loaded.
    pub(super) keys: Option<ParsedKeys>,
    /// Whether the credential of the queue can be used.
    pub(super) has_queue_credential: bool,
}

/// Checks the files of certificate authorities.
pub(super) fn check_authorities(config: &Config, report: &mut Report<'_>) {
    let named: Vec<_> = config.backplane.redis.iter().flat_map(|redis| redis.ca_file.clone()).collect();
    let (usable, errors) = trusted_roots::inspect_files(&named);
    for error in &errors {
        let advice = Advice {
            meaning: "the hub skips it, and does not trust servers whose certificates it signed",
            remedy: "let the hub read a certificate in PEM there",
            page: "docs/bitwarden.md",
        };
        report.add(Finding::warn("certificate authorities", error.to_string(), advice));
    }
    if errors.is_empty() {
        report.add(Finding::ok("certificate authorities", format!("{usable} files beside those of the system")));
    }
}

/// Loads everything that a hub loads before it binds a port.
pub(super) fn check_preflight(config: &Config, report: &mut Report<'_>) -> LoadedFiles {
    match Preflight::run(config) {
        Ok(loaded) => {
            for warning in loaded.warnings() {
                report.add(skipped_key(warning));
            }
            let keys = loaded.keys.map(|(_, parsed)| parsed);
            if let Some(parsed) = &keys {
                report.add(Finding::ok("keys", format!("{} in auth.keys", parsed.keys.len())));
            }
            LoadedFiles { keys, has_queue_credential: true }
        }
        Err(errors) => {
            let has_queue_credential = !errors.iter().any(|error| matches!(error, PreflightError::Queue(_)));
            errors.iter().for_each(|error| _ = report.add(unusable_file(error)));
            LoadedFiles { keys: None, has_queue_credential }
        }
    }
}

fn unusable_file(error: &PreflightError) -> Finding {
    let (check, remedy) = match error {
        PreflightError::Keys(_) => ("keys", "mount a file with a public key there"),
        PreflightError::ConnectionTokenKey(_) | PreflightError::NoRandomness(_) => {
            ("connection token key", "mount a file of at least 32 bytes there")
        }
        PreflightError::Queue(_) => ("queue", "give a connection string or a workload identity"),
    };
    Finding::fail(check, error.to_string(), Advice { meaning: "the hub does not start", remedy, page: STARTUP })
}

fn skipped_key(warning: String) -> Finding {
    let advice = Advice {
        meaning: "tokens of this key are refused",
        remedy: "use RS256 or ES256, or remove the key",
        page: "docs/configuration.md#keys",
    };
    Finding::warn("keys", warning, advice)
}
