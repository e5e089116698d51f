//! Fetches the keys of an identity server by OpenID Connect discovery (`bitwarden.md` 2.2).

use std::sync::Arc;
use std::time::Duration;

use reqwest::Response;
use reqwest::header::DATE;
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::jwk_set::JwkSet;
use super::key::{Key, KeyError};
use crate::net::trusted_roots::ReloadingHttpClient;

/// The timeout of one request.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);

/// The largest response body, in bytes.
const MAX_RESPONSE_BYTES: usize = 1024 * 1024;

/// An error of fetching the keys.
#[derive(Debug, thiserror::Error)]
pub enum JwksError {
    /// There is no complete response.
    #[error("cannot fetch {document}: {source}")]
    Unreachable {
        /// The document.
        document: &'static str,
        /// The error of the request.
        source: reqwest::Error,
    },
    /// The status is not a success.
    #[error("cannot fetch {document}: status {status}")]
    Status {
        /// The document.
        document: &'static str,
        /// The status.
        status: u16,
    },
    /// The body is too long.
    #[error("{0} is longer than {MAX_RESPONSE_BYTES} bytes")]
    TooLong(&'static str),
    /// The body is malformed. The error has only the position, because the body may contain secrets.
    #[error("{document} is malformed (line {line}, column {column})")]
    Malformed {
        /// The document.
        document: &'static str,
        /// The line of the error, from 1.
        line: usize,
        /// The column of the error, from 1.
        column: usize,
    },
    /// The key set cannot be used.
    #[error("the key set cannot be used: {0}")]
    Keys(#[from] KeyError),
}

/// What an identity server publishes.
pub struct PublishedKeys {
    /// The issuer of its tokens.
    pub issuer: Arc<str>,
    /// The usable keys, at least one, bound to the issuer.
    pub keys: Vec<Key>,
    /// The descriptions of the skipped entries of the JWK set.
    pub skipped: Vec<String>,
    /// The header `Date` of the response with the discovery document.
    pub date: Option<String>,
}

/// A client for the discovery document and the JWK set of an identity server.
pub struct DiscoveryClient {
    url: String,
    http: ReloadingHttpClient,
}

#[derive(Deserialize)]
struct Discovery {
    issuer: String,
    jwks_uri: String,
}

impl DiscoveryClient {
    /// Creates a client of the identity server at a URL.
    ///
    /// # Errors
    /// Returns an error if the TLS client cannot be created.
    pub fn new(url: &str) -> reqwest::Result<DiscoveryClient> {
        let http = ReloadingHttpClient::new(|client| client.timeout(REQUEST_TIMEOUT))?;
        Ok(DiscoveryClient { url: url.trim_end_matches('/').to_owned(), http })
    }

    /// Returns the URL of the identity server, without a slash at its end.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Fetches the discovery document and the keys.
    ///
    /// # Errors
    /// If a document cannot be fetched or read, or there is no usable key.
    pub async fn fetch(&self) -> Result<PublishedKeys, JwksError> {
        let address = format!("{}/.well-known/openid-configuration", self.url);
        let (document, date) = self.get("the discovery document", &address).await?;
        let discovery: Discovery = parse("the discovery document", &document)?;
        let (set, _) = self.get("the key set", &discovery.jwks_uri).await?;
        let (set, issuer): (_, Arc<str>) = (JwkSet::parse(&set)?, discovery.issuer.into());
        let keys = set.keys.into_iter().map(|key| key.with_issuer(issuer.clone())).collect();
        Ok(PublishedKeys { issuer, keys, skipped: set.skipped.iter().map(ToString::to_string).collect(), date })
    }

    /// Returns the body of a response and its header `Date`.
    async fn get(&self, document: &'static str, address: &str) -> Result<(Vec<u8>, Option<String>), JwksError> {
        let failed = |error: reqwest::Error| JwksError::Unreachable { document, source: error.without_url() };
        let mut response: Response = self.http.get().get(address).send().await.map_err(failed)?;
        if !response.status().is_success() {
            return Err(JwksError::Status { document, status: response.status().as_u16() });
        }
        let date = response.headers().get(DATE).and_then(|value| value.to_str().ok()).map(str::to_owned);
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(failed)? {
            if body.len() + chunk.len() > MAX_RESPONSE_BYTES {
                return Err(JwksError::TooLong(document));
            }
            body.extend_from_slice(&chunk);
        }
        Ok((body, date))
    }
}

fn parse<T: DeserializeOwned>(document: &'static str, body: &[u8]) -> Result<T, JwksError> {
    let malformed =
        |error: serde_json::Error| JwksError::Malformed { document, line: error.line(), column: error.column() };
    serde_json::from_slice(body).map_err(malformed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn discovery_document_malformed_error_has_position_without_content() {
        for text in [r#"{"issuer":"x","jwks_uri":["TOP-SECRET"]}"#, r#""TOP-SECRET""#, "{\"issuer\": TOP-SECRET"] {
            let error = parse::<Discovery>("the discovery document", text.as_bytes()).err().expect("no document");
            assert!(error.to_string().starts_with("the discovery document is malformed (line 1, column "));
            assert!(!format!("{error} {error:?}").contains("SECRET"), "{error:?}");
        }
    }
}
