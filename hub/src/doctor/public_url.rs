//! The URL that clients use. No I/O.

use std::fmt;

use reqwest::Url;

/// The path of the hub below the vault.
const DEFAULT_PATH: &str = "/notifications";

/// The URL of a vault or of a hub.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublicUrl {
    /// Whether clients use TLS.
    pub is_https: bool,
    /// The host, with brackets around an IPv6 address.
    pub host: String,
    /// The port.
    pub port: u16,
    /// The path of the hub, without a slash at its end. `/notifications` unless the URL has a path.
    pub path: String,
}

impl PublicUrl {
    /// Parses an http or https URL without a login, a query and a fragment. Returns `None` for other texts.
    pub fn parse(text: &str) -> Option<PublicUrl> {
        let url = Url::parse(text.trim()).ok()?;
        let has_more = url.query().is_some() || url.fragment().is_some() || !url.username().is_empty();
        if !matches!(url.scheme(), "http" | "https") || has_more || url.password().is_some() {
            return None;
        }
        let path = url.path().trim_end_matches('/');
        Some(PublicUrl {
            is_https: url.scheme() == "https",
            host: url.host_str()?.to_owned(),
            port: url.port_or_known_default()?,
            path: if path.is_empty() { DEFAULT_PATH } else { path }.to_owned(),
        })
    }
}

impl fmt::Display for PublicUrl {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.is_https { "https" } else { "http" };
        write!(formatter, "{scheme}://{}:{}{}", self.host, self.port, self.path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn public_url_defaults_to_the_path_of_a_vault() {
        let parse = |text: &str| PublicUrl::parse(text).map(|url| url.to_string());
        assert_eq!(parse("https://vault.example.com/").as_deref(), Some("https://vault.example.com:443/notifications"));
        assert_eq!(parse("http://[::1]:5000/hubs/").as_deref(), Some("http://[::1]:5000/hubs"));
        for wrong in ["vault.example.com", "ftp://a", "https://user:pw@a", "https://a/?access_token=x", "https://a/#x"]
        {
            assert_eq!(parse(wrong), None, "{wrong}");
        }
    }
}
