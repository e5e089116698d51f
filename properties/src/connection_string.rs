//! Checks connection strings of storage accounts.

use notification_hub::azure_storage::{Account, Credential};
use notification_hub::secret::Secret;

/// The account key that replaces each `$` of an input.
const KEY: &str = "c2VjcmV0LXNlY3JldC1zZWNyZXQ=";

/// Checks that a text is an account or an error, and that neither shows a secret. The order of the parts, the case of their names
/// and blanks around them have no effect.
pub(crate) fn check(input: &[u8]) {
    let text = String::from_utf8_lossy(input).replace('$', KEY);
    let parsed = parse(&text);
    match &parsed {
        Ok(account) => {
            let endpoint = &account.endpoint;
            assert!(matches!(endpoint.scheme(), "http" | "https") && endpoint.has_host() && endpoint.query().is_none());
            let development = text.to_ascii_lowercase().contains("usedevelopmentstorage");
            let secret = match &account.credential {
                Credential::Key { key, .. } => key,
                Credential::Signature(query) => query,
                Credential::Identity { .. } => panic!("a connection string with an identity"),
            };
            assert!(development || text.contains(secret.reveal()));
            assert_eq!(format!("{secret:?}"), "***");
        }
        Err(error) => assert!(!error.contains(KEY), "{error}"),
    }

    let mut parts: Vec<&str> = text.split(';').collect();
    parts.reverse();
    let respelled = parts.iter().map(|part| match part.split_once('=') {
        Some((name, value)) => format!(" {} = {value}", name.to_ascii_uppercase()),
        None => (*part).to_owned(),
    });
    let reordered = parse(&respelled.collect::<Vec<_>>().join(" ; "));
    assert_eq!(reordered.as_ref().map(parts_of).ok(), parsed.as_ref().map(parts_of).ok(), "{reordered:?} {parsed:?}");
}

fn parse(text: &str) -> Result<Account, String> {
    Account::parse(&Secret::from(text)).map_err(|error| error.to_string())
}

/// Returns the endpoint, the name and the secret of an account.
fn parts_of(account: &Account) -> (String, String, String) {
    let (name, secret) = match &account.credential {
        Credential::Key { account, key } => (account.as_str(), key.reveal()),
        Credential::Signature(query) => ("", query.reveal()),
        Credential::Identity { .. } => ("", ""),
    };
    (account.endpoint.to_string(), name.to_owned(), secret.to_owned())
}
