//! Connection strings of storage accounts. No I/O. No error repeats what it was given: any part may be the key.

use azure_core::http::Url;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;

use super::account::{Account, Credential, endpoint};
use crate::secret::Secret;

/// What is wrong with a connection string.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum ConnectionStringError {
    /// A part is no assignment.
    #[error("part {0} is no NAME=VALUE")]
    NoAssignment(usize),
    /// A part's name is unknown.
    #[error("part {0} has a name that connection strings do not know")]
    Unknown(usize),
    /// A name is there twice.
    #[error("{0} is there twice")]
    Twice(&'static str),
    /// A name has no value.
    #[error("{0} is empty")]
    Empty(&'static str),
    /// A name that is needed is not there.
    #[error("{0} is missing")]
    Missing(&'static str),
    /// Two credentials.
    #[error("AccountKey and SharedAccessSignature exclude each other")]
    TwoCredentials,
    /// No number of bytes in Base64.
    #[error("AccountKey is no Base64")]
    Key,
    /// No signature.
    #[error("SharedAccessSignature has no sig")]
    Signature,
    /// No protocol.
    #[error("DefaultEndpointsProtocol has to be http or https")]
    Protocol,
    /// No address.
    #[error("{0} is no http or https URL without a query")]
    Endpoint(&'static str),
    /// Development storage with something else.
    #[error("UseDevelopmentStorage has to be true, with nothing beside it but DevelopmentStorageProxyUri")]
    Development,
}

use ConnectionStringError as Wrong;

const PROTOCOL: &str = "DefaultEndpointsProtocol";
const NAME: &str = "AccountName";
const KEY: &str = "AccountKey";
const SIGNATURE: &str = "SharedAccessSignature";
const SUFFIX: &str = "EndpointSuffix";
const ENDPOINT: &str = "QueueEndpoint";
const DEVELOPMENT: &str = "UseDevelopmentStorage";
const PROXY: &str = "DevelopmentStorageProxyUri";

/// Every name; those of other services are read and of no account.
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

/// Azurite's account, which everybody knows.
const DEVELOPMENT_NAME: &str = "devstoreaccount1";
const DEVELOPMENT_KEY: &str =
    "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw==";
const DEVELOPMENT_PORT: u16 = 10001;

impl Account {
    /// Reads a connection string.
    ///
    /// # Errors
    /// The first thing that is wrong with it.
    pub fn parse(text: &Secret) -> Result<Account, ConnectionStringError> {
        let parts = Parts::parse(text.reveal())?;
        if parts.0.iter().any(|(name, _)| [DEVELOPMENT, PROXY].contains(name)) {
            return development(&parts);
        }
        let credential = match (parts.get(KEY), parts.get(SIGNATURE)) {
            (Some(_), Some(_)) => return Err(Wrong::TwoCredentials),
            (Some(key), None) => {
                BASE64_STANDARD.decode(key).map_err(|_| Wrong::Key)?;
                Credential::Key { account: parts.need(NAME)?.to_owned(), key: key.into() }
            }
            (None, Some(signature)) => {
                let query = signature.trim_start_matches('?');
                let signed = query.split('&').any(|pair| pair.starts_with("sig="));
                Credential::Signature(signed.then(|| query.into()).ok_or(Wrong::Signature)?)
            }
            (None, None) => return Err(Wrong::Missing("AccountKey or SharedAccessSignature")),
        };
        Ok(Account { endpoint: parts.endpoint()?, credential })
    }
}

fn development(parts: &Parts<'_>) -> Result<Account, ConnectionStringError> {
    let alone = parts.0.iter().all(|(name, _)| [DEVELOPMENT, PROXY].contains(name));
    if !alone || !parts.get(DEVELOPMENT).is_some_and(|value| value.eq_ignore_ascii_case("true")) {
        return Err(Wrong::Development);
    }
    let base = endpoint(parts.get(PROXY).unwrap_or("http://127.0.0.1"));
    let host = base.as_ref().and_then(Url::host_str).ok_or(Wrong::Endpoint(PROXY))?;
    let scheme = base.as_ref().map_or("http", Url::scheme);
    let url = endpoint(&format!("{scheme}://{host}:{DEVELOPMENT_PORT}/{DEVELOPMENT_NAME}"));
    let credential = Credential::Key { account: DEVELOPMENT_NAME.to_owned(), key: DEVELOPMENT_KEY.into() };
    Ok(Account { endpoint: url.ok_or(Wrong::Endpoint(PROXY))?, credential })
}

/// The assignments of a connection string.
struct Parts<'a>(Vec<(&'static str, &'a str)>);

impl<'a> Parts<'a> {
    fn parse(text: &'a str) -> Result<Parts<'a>, ConnectionStringError> {
        let mut parts: Vec<(&'static str, &str)> = Vec::new();
        for (place, part) in text.split(';').map(str::trim).enumerate().filter(|(_, part)| !part.is_empty()) {
            let (name, value) = part.split_once('=').ok_or(Wrong::NoAssignment(place + 1))?;
            let known = NAMES.into_iter().find(|known| known.eq_ignore_ascii_case(name.trim()));
            let name = known.ok_or(Wrong::Unknown(place + 1))?;
            if value.trim().is_empty() {
                return Err(Wrong::Empty(name));
            }
            if parts.iter().any(|(there, _)| *there == name) {
                return Err(Wrong::Twice(name));
            }
            parts.push((name, value.trim()));
        }
        Ok(Parts(parts))
    }

    fn get(&self, name: &str) -> Option<&'a str> {
        self.0.iter().find(|(there, _)| *there == name).map(|(_, value)| *value)
    }

    fn need(&self, name: &'static str) -> Result<&'a str, ConnectionStringError> {
        self.get(name).ok_or(Wrong::Missing(name))
    }

    /// The address that is given, or the usual one of the account.
    fn endpoint(&self) -> Result<Url, ConnectionStringError> {
        if let Some(given) = self.get(ENDPOINT) {
            return endpoint(given).ok_or(Wrong::Endpoint(ENDPOINT));
        }
        let protocol = self.get(PROTOCOL).unwrap_or("https").to_ascii_lowercase();
        if !["http", "https"].contains(&protocol.as_str()) {
            return Err(Wrong::Protocol);
        }
        let name = self.get(NAME).ok_or(Wrong::Missing("QueueEndpoint or AccountName"))?;
        let suffix = self.get(SUFFIX).unwrap_or("core.windows.net");
        endpoint(&format!("{protocol}://{name}.queue.{suffix}"))
            .ok_or(Wrong::Endpoint("AccountName with EndpointSuffix"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<(String, Credential), ConnectionStringError> {
        Account::parse(&text.into()).map(|account| (account.endpoint.to_string(), account.credential))
    }

    fn address(text: &str) -> String {
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
        assert_eq!(address("accountkey=a2V5; ACCOUNTNAME=vault"), "https://vault.queue.core.windows.net/");
        assert_eq!(
            address("AccountName=a;AccountKey=a2V5;QueueEndpoint=http://127.0.0.1:5/a;BlobEndpoint=x"),
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
            address("UseDevelopmentStorage=true;DevelopmentStorageProxyUri=http://azurite"),
            "http://azurite:10001/devstoreaccount1"
        );
    }

    #[test]
    fn connection_string_invalid_error_names_cause_without_secrets() {
        for (text, wrong) in [
            ("", Wrong::Missing("AccountKey or SharedAccessSignature")),
            ("AccountName=SECRET", Wrong::Missing("AccountKey or SharedAccessSignature")),
            ("AccountKey=a2V5", Wrong::Missing("AccountName")),
            ("SharedAccessSignature=sig=SECRET", Wrong::Missing("QueueEndpoint or AccountName")),
            ("SharedAccessSignature=SECRET;AccountName=a", Wrong::Signature),
            ("AccountName=a;AccountKey=SECRET?", Wrong::Key),
            ("AccountName=a;AccountKey=", Wrong::Empty("AccountKey")),
            ("AccountName=a;SECRET", Wrong::NoAssignment(2)),
            ("AccountName=a;SECRET==", Wrong::Unknown(2)),
            ("AccountName=a;accountname=SECRET", Wrong::Twice("AccountName")),
            ("AccountName=a;AccountKey=a2V5;SharedAccessSignature=sig=SECRET", Wrong::TwoCredentials),
            ("AccountName=a;AccountKey=a2V5;DefaultEndpointsProtocol=SECRET", Wrong::Protocol),
            ("AccountName=a;AccountKey=a2V5;QueueEndpoint=SECRET", Wrong::Endpoint("QueueEndpoint")),
            ("AccountName=a;AccountKey=a2V5;QueueEndpoint=http://a?sig=SECRET", Wrong::Endpoint("QueueEndpoint")),
            ("AccountName=S E;AccountKey=a2V5", Wrong::Endpoint("AccountName with EndpointSuffix")),
            ("UseDevelopmentStorage=SECRET", Wrong::Development),
            ("UseDevelopmentStorage=true;AccountName=SECRET", Wrong::Development),
            ("DevelopmentStorageProxyUri=http://SECRET", Wrong::Development),
        ] {
            let error = parse(text).expect_err(text);
            assert_eq!(error, wrong, "{text}");
            assert!(!format!("{error} {error:?}").contains("SECRET"), "{text}");
        }
    }
}
