//! Parses connection strings of storage accounts. No I/O. No error quotes the text, because any part of it may be the key.

use azure_core::http::Url;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;

use super::account::{Account, Credential, endpoint};
use crate::secret::Secret;

/// The first error of a connection string.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum ConnectionStringError {
    /// The part with this number, from 1, is not an assignment.
    #[error("part {0} is not NAME=VALUE")]
    NoAssignment(usize),
    /// The part with this number, from 1, has an unknown name.
    #[error("part {0} has an unknown name")]
    Unknown(usize),
    /// A name is given twice.
    #[error("{0} is given twice; remove one")]
    Duplicate(&'static str),
    /// A name has no value.
    #[error("{0} is empty")]
    Empty(&'static str),
    /// A required name is missing.
    #[error("{0} is missing")]
    Missing(&'static str),
    /// Two credentials are given.
    #[error("AccountKey and SharedAccessSignature exclude each other; remove one")]
    TwoCredentials,
    /// The account key is not Base64.
    #[error("AccountKey is not Base64")]
    Key,
    /// The shared access signature has no signature.
    #[error("SharedAccessSignature has no parameter sig")]
    Signature,
    /// The protocol is unknown.
    #[error("DefaultEndpointsProtocol must be http or https")]
    Protocol,
    /// A URL is malformed or cannot be the base of others.
    #[error("{0} must be an http or https URL without a query")]
    Endpoint(&'static str),
    /// Development storage is not `true`, or is given with other names.
    #[error("UseDevelopmentStorage must be true, and only DevelopmentStorageProxyUri may be given with it")]
    Development,
}

const PROTOCOL: &str = "DefaultEndpointsProtocol";
const NAME: &str = "AccountName";
const KEY: &str = "AccountKey";
const SIGNATURE: &str = "SharedAccessSignature";
const SUFFIX: &str = "EndpointSuffix";
const ENDPOINT: &str = "QueueEndpoint";
const DEVELOPMENT: &str = "UseDevelopmentStorage";
const PROXY: &str = "DevelopmentStorageProxyUri";

/// All names that a connection string may have. The values of names without a constant are ignored.
const NAMES: [&str; 15] = [
    PROTOCOL,
    NAME,
    KEY,
    SIGNATURE,
    SUFFIX,
    ENDPOINT,
    DEVELOPMENT,
    PROXY,
    "QueueSecondaryEndpoint",
    "BlobEndpoint",
    "BlobSecondaryEndpoint",
    "FileEndpoint",
    "FileSecondaryEndpoint",
    "TableEndpoint",
    "TableSecondaryEndpoint",
];

/// The account of Azurite. Its key is public.
const DEVELOPMENT_NAME: &str = "devstoreaccount1";
const DEVELOPMENT_KEY: &str =
    "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw==";
const DEVELOPMENT_PORT: u16 = 10001;

impl Account {
    /// Parses a connection string.
    ///
    /// # Errors
    /// The first error of the text.
    pub fn parse(text: &Secret) -> Result<Account, ConnectionStringError> {
        let parts = Parts::parse(text.reveal())?;
        if parts.0.iter().any(|(name, _)| [DEVELOPMENT, PROXY].contains(name)) {
            return development_account(&parts);
        }
        let credential = match (parts.get(KEY), parts.get(SIGNATURE)) {
            (Some(_), Some(_)) => return Err(ConnectionStringError::TwoCredentials),
            (Some(key), None) => {
                BASE64_STANDARD.decode(key).map_err(|_| ConnectionStringError::Key)?;
                Credential::Key { account: parts.require(NAME)?.to_owned(), key: key.into() }
            }
            (None, Some(signature)) => {
                let query = signature.trim_start_matches('?');
                let has_signature = query.split('&').any(|pair| pair.starts_with("sig="));
                Credential::Signature(has_signature.then(|| query.into()).ok_or(ConnectionStringError::Signature)?)
            }
            (None, None) => return Err(ConnectionStringError::Missing("AccountKey or SharedAccessSignature")),
        };
        Ok(Account { endpoint: parts.endpoint()?, credential })
    }
}

/// Returns Azurite's account, at the host of `DevelopmentStorageProxyUri` or else of this machine.
fn development_account(parts: &Parts<'_>) -> Result<Account, ConnectionStringError> {
    let has_only_these = parts.0.iter().all(|(name, _)| [DEVELOPMENT, PROXY].contains(name));
    if !has_only_these || !parts.get(DEVELOPMENT).is_some_and(|value| value.eq_ignore_ascii_case("true")) {
        return Err(ConnectionStringError::Development);
    }
    let base = endpoint(parts.get(PROXY).unwrap_or("http://127.0.0.1"));
    let host = base.as_ref().and_then(Url::host_str).ok_or(ConnectionStringError::Endpoint(PROXY))?;
    let scheme = base.as_ref().map_or("http", Url::scheme);
    let url = endpoint(&format!("{scheme}://{host}:{DEVELOPMENT_PORT}/{DEVELOPMENT_NAME}"));
    let credential = Credential::Key { account: DEVELOPMENT_NAME.to_owned(), key: DEVELOPMENT_KEY.into() };
    Ok(Account { endpoint: url.ok_or(ConnectionStringError::Endpoint(PROXY))?, credential })
}

/// The names and values of a connection string, in their order.
struct Parts<'a>(Vec<(&'static str, &'a str)>);

impl<'a> Parts<'a> {
    fn parse(text: &'a str) -> Result<Parts<'a>, ConnectionStringError> {
        let mut parts: Vec<(&'static str, &str)> = Vec::new();
        for (index, part) in text.split(';').map(str::trim).enumerate().filter(|(_, part)| !part.is_empty()) {
            let (name, value) = part.split_once('=').ok_or(ConnectionStringError::NoAssignment(index + 1))?;
            let known = NAMES.into_iter().find(|known| known.eq_ignore_ascii_case(name.trim()));
            let name = known.ok_or(ConnectionStringError::Unknown(index + 1))?;
            if value.trim().is_empty() {
                return Err(ConnectionStringError::Empty(name));
            }
            if parts.iter().any(|(known, _)| *known == name) {
                return Err(ConnectionStringError::Duplicate(name));
            }
            parts.push((name, value.trim()));
        }
        Ok(Parts(parts))
    }

    fn get(&self, name: &str) -> Option<&'a str> {
        self.0.iter().find(|(known, _)| *known == name).map(|(_, value)| *value)
    }

    fn require(&self, name: &'static str) -> Result<&'a str, ConnectionStringError> {
        self.get(name).ok_or(ConnectionStringError::Missing(name))
    }

    /// Returns `QueueEndpoint`, or the URL that Azure gives the account's queues.
    fn endpoint(&self) -> Result<Url, ConnectionStringError> {
        if let Some(url) = self.get(ENDPOINT) {
            return endpoint(url).ok_or(ConnectionStringError::Endpoint(ENDPOINT));
        }
        let protocol = self.get(PROTOCOL).unwrap_or("https").to_ascii_lowercase();
        if !["http", "https"].contains(&protocol.as_str()) {
            return Err(ConnectionStringError::Protocol);
        }
        let name = self.get(NAME).ok_or(ConnectionStringError::Missing("QueueEndpoint or AccountName"))?;
        let suffix = self.get(SUFFIX).unwrap_or("core.windows.net");
        endpoint(&format!("{protocol}://{name}.queue.{suffix}"))
            .ok_or(ConnectionStringError::Endpoint("AccountName with EndpointSuffix"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<(String, Credential), ConnectionStringError> {
        Account::parse(&text.into()).map(|account| (account.endpoint.to_string(), account.credential))
    }

    fn endpoint_url(text: &str) -> String {
        parse(text).expect(text).0
    }

    #[test]
    fn connection_string_with_account_key_parses() {
        let (url, credential) =
            parse("DefaultEndpointsProtocol=https;AccountName=vault;AccountKey=a2V5;EndpointSuffix=core.example;")
                .expect("fine");
        assert_eq!(url, "https://vault.queue.core.example/");
        assert!(
            matches!(&credential, Credential::Key { account, key } if account == "vault" && key.reveal() == "a2V5")
        );
        assert!(!format!("{credential:?}").contains("a2V5"));
        assert_eq!(endpoint_url("accountkey=a2V5; ACCOUNTNAME=vault"), "https://vault.queue.core.windows.net/");
        assert_eq!(
            endpoint_url("AccountName=a;AccountKey=a2V5;QueueEndpoint=http://127.0.0.1:5/a;BlobEndpoint=x"),
            "http://127.0.0.1:5/a"
        );
    }

    #[test]
    fn connection_string_with_shared_access_signature_parses() {
        for text in [
            "QueueEndpoint=https://vault.queue.core.windows.net/;SharedAccessSignature=sv=1&sig=a%3D",
            "AccountName=vault;SharedAccessSignature=?sv=1&sig=a%3D",
        ] {
            let (url, credential) = parse(text).expect(text);
            assert_eq!(url, "https://vault.queue.core.windows.net/");
            assert!(matches!(credential, Credential::Signature(query) if query.reveal() == "sv=1&sig=a%3D"));
        }
    }

    #[test]
    fn connection_string_of_development_storage_parses() {
        let (url, credential) = parse("UseDevelopmentStorage=true;").expect("fine");
        assert_eq!(url, "http://127.0.0.1:10001/devstoreaccount1");
        assert!(matches!(credential, Credential::Key { account, .. } if account == DEVELOPMENT_NAME));
        assert_eq!(
            endpoint_url("UseDevelopmentStorage=true;DevelopmentStorageProxyUri=http://azurite"),
            "http://azurite:10001/devstoreaccount1"
        );
    }

    #[test]
    fn connection_string_invalid_returns_the_cause_without_secrets() {
        for (text, expected) in [
            ("", ConnectionStringError::Missing("AccountKey or SharedAccessSignature")),
            ("AccountName=SECRET", ConnectionStringError::Missing("AccountKey or SharedAccessSignature")),
            ("AccountKey=a2V5", ConnectionStringError::Missing("AccountName")),
            ("SharedAccessSignature=sig=SECRET", ConnectionStringError::Missing("QueueEndpoint or AccountName")),
            ("SharedAccessSignature=SECRET;AccountName=a", ConnectionStringError::Signature),
            ("AccountName=a;AccountKey=SECRET?", ConnectionStringError::Key),
            ("AccountName=a;AccountKey=", ConnectionStringError::Empty("AccountKey")),
            ("AccountName=a;SECRET", ConnectionStringError::NoAssignment(2)),
            ("AccountName=a;SECRET==", ConnectionStringError::Unknown(2)),
            ("AccountName=a;accountname=SECRET", ConnectionStringError::Duplicate("AccountName")),
            ("AccountName=a;AccountKey=a2V5;SharedAccessSignature=sig=SECRET", ConnectionStringError::TwoCredentials),
            ("AccountName=a;AccountKey=a2V5;DefaultEndpointsProtocol=SECRET", ConnectionStringError::Protocol),
            ("AccountName=a;AccountKey=a2V5;QueueEndpoint=SECRET", ConnectionStringError::Endpoint("QueueEndpoint")),
            (
                "AccountName=a;AccountKey=a2V5;QueueEndpoint=http://a?sig=SECRET",
                ConnectionStringError::Endpoint("QueueEndpoint"),
            ),
            ("AccountName=S E;AccountKey=a2V5", ConnectionStringError::Endpoint("AccountName with EndpointSuffix")),
            ("UseDevelopmentStorage=SECRET", ConnectionStringError::Development),
            ("UseDevelopmentStorage=true;AccountName=SECRET", ConnectionStringError::Development),
            ("DevelopmentStorageProxyUri=http://SECRET", ConnectionStringError::Development),
        ] {
            let error = parse(text).expect_err(text);
            assert_eq!(error, expected, "{text}");
            assert!(!format!("{error} {error:?}").contains("SECRET"), "{text}");
        }
    }
}
