//! Parses URLs of Redis and of Sentinels.

use percent_encoding::percent_decode_str;
use reqwest::Url;

use super::host_port::{DEFAULT_PORT, DEFAULT_SENTINEL_PORT, parse_host_port, strip_brackets};
use super::redis_config::RedisConfig;
use super::redis_config_error::RedisConfigError;
use crate::secret::Secret;

/// Parses the rest of `redis+sentinel://LOGIN@HOST:PORT,HOST:PORT/SERVICE/DATABASE` after the scheme. [`Url`] cannot: there are
/// several hosts.
fn parse_sentinel_url(rest: &str, tls: bool) -> Result<RedisConfig, RedisConfigError> {
    let (authority, path) = rest.split_once('/').ok_or(RedisConfigError::InvalidSentinelUrl)?;
    let (login, hosts) = authority.rsplit_once('@').map_or((None, authority), |(login, hosts)| (Some(login), hosts));
    let (username, password) = login.map(|login| login.split_once(':').unwrap_or((login, ""))).unzip();
    let decode = |text: Option<&str>| text.filter(|text| !text.is_empty()).map(percent_decode).transpose();
    let servers = hosts.split(',').map(|text| {
        let (host, port) = parse_host_port(text)?;
        Some((host, port.unwrap_or(DEFAULT_SENTINEL_PORT)))
    });
    let servers = servers.collect::<Option<Vec<_>>>().ok_or(RedisConfigError::InvalidSentinelUrl)?;
    let (service, database) = path.split_once('/').unwrap_or((path, ""));
    if service.is_empty() || service.contains(['?', '#']) {
        return Err(RedisConfigError::InvalidSentinelUrl);
    }
    Ok(RedisConfig {
        servers,
        service: Some(percent_decode(service)?),
        tls,
        ca_file: None,
        username: decode(username)?,
        password: decode(password)?.map(Secret::from),
        database: if database.is_empty() {
            0
        } else {
            database.parse().map_err(|_| RedisConfigError::InvalidDatabase)?
        },
        connect_timeout: None,
    })
}

/// Parses a URL of Redis or of Sentinels.
pub(super) fn parse_url(text: &str) -> Result<RedisConfig, RedisConfigError> {
    for (scheme, tls) in [("redis+sentinel://", false), ("rediss+sentinel://", true)] {
        if let Some(rest) = text.strip_prefix(scheme) {
            return parse_sentinel_url(rest, tls);
        }
    }
    let url = Url::parse(text).map_err(|_| RedisConfigError::InvalidUrl)?;
    let tls = match url.scheme() {
        "redis" => false,
        "rediss" => true,
        _ => return Err(RedisConfigError::InvalidUrl),
    };
    if url.query().is_some() || url.fragment().is_some() {
        return Err(RedisConfigError::InvalidUrl);
    }
    let host = url.host_str().filter(|host| !host.is_empty()).ok_or(RedisConfigError::NoHost)?;
    let database = match url.path().trim_start_matches('/') {
        "" => 0,
        number => number.parse().map_err(|_| RedisConfigError::InvalidDatabase)?,
    };
    let username = Some(url.username()).filter(|name| !name.is_empty()).map(percent_decode).transpose()?;
    let password = url.password().filter(|password| !password.is_empty()).map(percent_decode).transpose()?;
    Ok(RedisConfig {
        servers: vec![(strip_brackets(host), url.port().unwrap_or(DEFAULT_PORT))],
        service: None,
        tls,
        ca_file: None,
        username,
        password: password.map(Secret::from),
        database,
        connect_timeout: None,
    })
}

/// Decodes the percent escapes of a part of a URL. Malformed escapes, which [`percent_decode_str`] keeps, are an error.
fn percent_decode(text: &str) -> Result<String, RedisConfigError> {
    let is_escape = |rest: &str| rest.len() >= 2 && rest.bytes().take(2).all(|digit| digit.is_ascii_hexdigit());
    let decoded = percent_decode_str(text).decode_utf8().map_err(|_| RedisConfigError::InvalidEscape)?;
    if text.split('%').skip(1).all(is_escape) { Ok(decoded.into_owned()) } else { Err(RedisConfigError::InvalidEscape) }
}
