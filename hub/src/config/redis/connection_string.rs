//! Parses connection strings of StackExchange.Redis.

use std::time::Duration;

use super::host_port::{DEFAULT_PORT, DEFAULT_SENTINEL_PORT, DEFAULT_TLS_PORT, parse_host_port};
use super::redis_config::RedisConfig;
use super::redis_config_error::RedisConfigError;
use crate::secret::Secret;

const CONNECT_TIMEOUT: &str = "connectTimeout";
const DATABASE: &str = "defaultDatabase";
const PASSWORD: &str = "password";
const SERVICE: &str = "serviceName";
const SSL: &str = "ssl";
const SSL_HOST: &str = "sslHost";
const TUNNEL: &str = "tunnel";
const USER: &str = "user";

/// Every option of a connection string. The hub ignores those without a constant: they tune the .NET library, and Bitwarden
/// overrides `channelPrefix`.
const OPTIONS: [&str; 33] = [
    CONNECT_TIMEOUT,
    DATABASE,
    PASSWORD,
    SERVICE,
    SSL,
    SSL_HOST,
    TUNNEL,
    USER,
    "abortConnect",
    "allowAdmin",
    "asyncTimeout",
    "channelPrefix",
    "checkCertificateRevocation",
    "configChannel",
    "configCheckSeconds",
    "connectRetry",
    "heartbeatConsistencyChecks",
    "heartbeatInterval",
    "highIntegrity",
    "highPriorityThreads",
    "keepAlive",
    "name",
    "preserveAsyncOrder",
    "protocol",
    "proxy",
    "resolveDns",
    "responseTimeout",
    "setlib",
    "sslProtocols",
    "syncTimeout",
    "tiebreaker",
    "version",
    "writeBuffer",
];

/// Parses a connection string of StackExchange.Redis.
pub(super) fn parse_connection_string(text: &str) -> Result<RedisConfig, RedisConfigError> {
    let mut hosts = Vec::new();
    let mut options: Vec<(&'static str, &str)> = Vec::new();
    for (index, part) in text.split(',').map(str::trim).enumerate().filter(|(_, part)| !part.is_empty()) {
        let Some((name, value)) = part.split_once('=') else {
            hosts.push(parse_host_port(part).ok_or(RedisConfigError::InvalidPart(index + 1))?);
            continue;
        };
        // A disabled command, often CONFIG, is harmless. A renamed command would not be found.
        if name.starts_with('$') {
            if value.trim().is_empty() {
                continue;
            }
            return Err(RedisConfigError::Unsupported("renaming a command"));
        }
        let known = OPTIONS.into_iter().find(|known| known.eq_ignore_ascii_case(name.trim()));
        let name = known.ok_or(RedisConfigError::UnknownOption(index + 1))?;
        if options.iter().any(|(other, _)| *other == name) {
            return Err(RedisConfigError::Duplicate(name));
        }
        options.push((name, value.trim()));
    }
    let option = |wanted: &'static str| {
        let found = options.iter().find(|(name, _)| *name == wanted).map(|(_, value)| *value);
        found.filter(|value| !value.is_empty())
    };
    let tls = option(SSL).map_or(Ok(false), |value| parse_flag(value).ok_or(invalid_value(SSL, "true or false")))?;
    let service = option(SERVICE).map(str::to_owned);
    if hosts.is_empty() {
        return Err(RedisConfigError::NoHost);
    }
    if option(TUNNEL).is_some() {
        return Err(RedisConfigError::Unsupported(TUNNEL));
    }
    if option(SSL_HOST).is_some_and(|name| hosts.iter().any(|(host, _)| !host.eq_ignore_ascii_case(name))) {
        return Err(RedisConfigError::Unsupported("an sslHost that differs from the host"));
    }
    let number =
        |name| option(name).map(|value| value.parse::<u32>().map_err(|_| invalid_value(name, "a whole number")));
    let port = match (&service, tls) {
        (Some(_), _) => DEFAULT_SENTINEL_PORT,
        (None, true) => DEFAULT_TLS_PORT,
        (None, false) => DEFAULT_PORT,
    };
    Ok(RedisConfig {
        servers: hosts.into_iter().map(|(host, own_port)| (host, own_port.unwrap_or(port))).collect(),
        service,
        tls,
        ca_file: None,
        username: option(USER).map(str::to_owned),
        password: option(PASSWORD).map(Secret::from),
        database: number(DATABASE).transpose()?.unwrap_or(0),
        connect_timeout: number(CONNECT_TIMEOUT).transpose()?.map(|time| Duration::from_millis(time.into())),
    })
}

fn invalid_value(name: &'static str, needs: &'static str) -> RedisConfigError {
    RedisConfigError::InvalidValue { name, needs }
}

/// Parses a flag as StackExchange.Redis does.
fn parse_flag(value: &str) -> Option<bool> {
    let is_one_of = |names: [&str; 4]| names.iter().any(|name| name.eq_ignore_ascii_case(value));
    match value {
        _ if is_one_of(["true", "yes", "on", "1"]) => Some(true),
        _ if is_one_of(["false", "no", "off", "0"]) => Some(false),
        _ => None,
    }
}
