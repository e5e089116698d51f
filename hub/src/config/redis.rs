//! The address of Redis: a URL, or a connection string of StackExchange.Redis, which Bitwarden's deployments use
//! (`bitwarden.md` 2.9). No I/O. No error quotes its input, because any part of it may be the password.

use std::path::PathBuf;
use std::time::Duration;

use percent_encoding::percent_decode_str;
use reqwest::Url;

use crate::secret::Secret;

/// The address, credentials and TLS settings of Redis: one server, several of which one is the master, or Sentinels.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RedisConfig {
    /// Hosts and ports, at least one: of Redis and its replicas, or of the Sentinels.
    pub servers: Vec<(String, u16)>,
    /// The name of the master at the Sentinels. `None` if `servers` are not Sentinels.
    pub service: Option<String>,
    /// Whether connections use TLS.
    pub tls: bool,
    /// The file of the certificate authority. `None` means the trusted roots of the process.
    pub ca_file: Option<PathBuf>,
    /// The user of the access control list. `None` means the default user.
    pub username: Option<String>,
    /// The password.
    pub password: Option<Secret>,
    /// The database of stored keys. Channels do not depend on it.
    pub database: u32,
    /// The time limit of a connection attempt. `None` means the default of the backplane.
    pub connect_timeout: Option<Duration>,
}

/// Why the address of Redis, or a setting that belongs to it, is invalid.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RedisConfigError {
    /// The URL is malformed or has another scheme.
    #[error(
        "must be redis://HOST, rediss://HOST or redis+sentinel://HOST,HOST/SERVICE; login, port and database are optional"
    )]
    InvalidUrl,
    /// The URL of Sentinels is malformed.
    #[error(
        "must be redis+sentinel://HOST,HOST/SERVICE, or rediss+sentinel:// with TLS; login, ports and /DATABASE are optional"
    )]
    InvalidSentinelUrl,
    /// The database in the URL is not a number.
    #[error("the database must be a whole number")]
    InvalidDatabase,
    /// A part of the URL has a malformed percent escape, or its bytes are not UTF-8.
    #[error("malformed percent escape; escape special characters as UTF-8")]
    InvalidEscape,
    /// There is no host.
    #[error("no host; add HOST or HOST:PORT")]
    NoHost,
    /// A part of the connection string, counted from 1, is neither an address nor an option.
    #[error("part {0} must be HOST:PORT or NAME=VALUE")]
    InvalidPart(usize),
    /// A part of the connection string, counted from 1, has an option that StackExchange.Redis does not know either.
    #[error("part {0} is not an option of StackExchange.Redis; remove it")]
    UnknownOption(usize),
    /// An option occurs twice.
    #[error("{0} occurs twice; remove one")]
    Duplicate(&'static str),
    /// The value of an option has the wrong type.
    #[error("{name} must be {needs}")]
    InvalidValue {
        /// The option.
        name: &'static str,
        /// The values that it accepts.
        needs: &'static str,
    },
    /// An option that the hub does not support.
    #[error("{0} is not supported; remove it")]
    Unsupported(&'static str),
    /// A login is set both in the address and in a setting.
    #[error("already set in backplane.redis.url; remove one")]
    Conflict,
    /// A certificate authority is set for a connection without TLS.
    #[error("needs TLS; use rediss:// or ssl=true in backplane.redis.url")]
    CaFileWithoutTls,
}

/// The port of Redis without TLS.
const DEFAULT_PORT: u16 = 6379;

/// The port of Redis with TLS, as StackExchange.Redis has it. A `rediss://` URL without a port means [`DEFAULT_PORT`].
const DEFAULT_TLS_PORT: u16 = 6380;

/// The port of a Sentinel.
const DEFAULT_SENTINEL_PORT: u16 = 26379;

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

impl RedisConfig {
    /// Parses a URL or a connection string.
    ///
    /// # Errors
    /// The first problem that is found.
    pub fn parse(address: &Secret) -> Result<RedisConfig, RedisConfigError> {
        let text = address.reveal().trim();
        // A password may contain "://", but a comma precedes it.
        match text.split_once("://") {
            Some((scheme, _)) if !scheme.contains([',', '=']) => parse_url(text),
            _ => parse_connection_string(text),
        }
    }

    /// Adds a user name and a password that are set apart from the address.
    ///
    /// # Errors
    /// [`RedisConfigError::Conflict`] and the key of the setting, if the address has the same part.
    pub fn with_login(
        self,
        username: Option<String>,
        password: Option<Secret>,
    ) -> Result<RedisConfig, (&'static str, RedisConfigError)> {
        if username.is_some() && self.username.is_some() {
            return Err(("backplane.redis.username", RedisConfigError::Conflict));
        }
        if password.is_some() && self.password.is_some() {
            return Err(("backplane.redis.password", RedisConfigError::Conflict));
        }
        Ok(RedisConfig { username: username.or(self.username), password: password.or(self.password), ..self })
    }

    /// Adds the file of a certificate authority.
    ///
    /// # Errors
    /// [`RedisConfigError::CaFileWithoutTls`] if connections do not use TLS.
    pub fn with_ca_file(self, ca_file: Option<PathBuf>) -> Result<RedisConfig, RedisConfigError> {
        if ca_file.is_some() && !self.tls {
            Err(RedisConfigError::CaFileWithoutTls)
        } else {
            Ok(RedisConfig { ca_file, ..self })
        }
    }
}

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
fn parse_url(text: &str) -> Result<RedisConfig, RedisConfigError> {
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

/// Parses a connection string of StackExchange.Redis.
fn parse_connection_string(text: &str) -> Result<RedisConfig, RedisConfigError> {
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

/// Parses `HOST`, `HOST:PORT` or `[ADDRESS]:PORT`. Returns `None` if the text is malformed.
fn parse_host_port(text: &str) -> Option<(String, Option<u16>)> {
    let (host, port) = match text.rsplit_once(':') {
        Some((host, port)) if host.ends_with(']') || !host.contains(':') => (host, Some(port.parse().ok()?)),
        _ => (text, None),
    };
    let host = strip_brackets(host);
    let is_valid =
        !host.is_empty() && !host.contains(|character: char| character.is_whitespace() || "/@![]".contains(character));
    is_valid.then_some((host, port))
}

/// Removes the brackets of an IPv6 address.
fn strip_brackets(host: &str) -> String {
    host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host).to_owned()
}

/// Decodes the percent escapes of a part of a URL. Malformed escapes, which [`percent_decode_str`] keeps, are an error.
fn percent_decode(text: &str) -> Result<String, RedisConfigError> {
    let is_escape = |rest: &str| rest.len() >= 2 && rest.bytes().take(2).all(|digit| digit.is_ascii_hexdigit());
    let decoded = percent_decode_str(text).decode_utf8().map_err(|_| RedisConfigError::InvalidEscape)?;
    if text.split('%').skip(1).all(is_escape) { Ok(decoded.into_owned()) } else { Err(RedisConfigError::InvalidEscape) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<RedisConfig, RedisConfigError> {
        RedisConfig::parse(&text.into())
    }

    fn plain(host: &str, port: u16) -> RedisConfig {
        RedisConfig {
            servers: vec![(host.to_owned(), port)],
            service: None,
            tls: false,
            ca_file: None,
            username: None,
            password: None,
            database: 0,
            connect_timeout: None,
        }
    }

    #[test]
    fn redis_url_parses() {
        let with_login = RedisConfig {
            username: Some("hub".to_owned()),
            password: Some("p@s".into()),
            database: 3,
            ..plain("redis", 7)
        };
        for (text, redis) in [
            ("redis://redis", plain("redis", DEFAULT_PORT)),
            (" redis://redis:6380/ ", plain("redis", 6380)),
            ("redis://[::1]:7", plain("::1", 7)),
            ("rediss://redis", RedisConfig { tls: true, ..plain("redis", DEFAULT_PORT) }),
            ("redis://hub:p%40s@redis:7/3", with_login),
            (
                "redis+sentinel://hub:p%40s@a,b:7,[::1]:8/vault/3",
                RedisConfig {
                    servers: vec![("a".to_owned(), DEFAULT_SENTINEL_PORT), ("b".to_owned(), 7), ("::1".to_owned(), 8)],
                    service: Some("vault".to_owned()),
                    username: Some("hub".to_owned()),
                    password: Some("p@s".into()),
                    database: 3,
                    ..plain("", 0)
                },
            ),
            (
                "rediss+sentinel://a:7/va%2Fult",
                RedisConfig { service: Some("va/ult".to_owned()), tls: true, ..plain("a", 7) },
            ),
            (
                "redis://:p=,:%2F%2F@redis",
                RedisConfig { password: Some("p=,://".into()), ..plain("redis", DEFAULT_PORT) },
            ),
        ] {
            assert_eq!(parse(text), Ok(redis), "{text}");
        }
    }

    #[test]
    fn redis_connection_string_parses() {
        let full = RedisConfig {
            tls: true,
            username: Some("hub".to_owned()),
            password: Some("p=://s=".into()),
            database: 2,
            connect_timeout: Some(Duration::from_secs(5)),
            ..plain("redis.example", DEFAULT_TLS_PORT)
        };
        let sentinels = RedisConfig {
            servers: vec![("a".to_owned(), DEFAULT_SENTINEL_PORT), ("b".to_owned(), 5)],
            service: Some("master".to_owned()),
            ..plain("", 0)
        };
        let several = RedisConfig {
            servers: vec![("a".to_owned(), DEFAULT_PORT), ("b".to_owned(), 5)],
            password: Some("x".into()),
            ..plain("", 0)
        };
        for (text, redis) in [
            ("redis", plain("redis", DEFAULT_PORT)),
            ("redis:6380", plain("redis", 6380)),
            ("[::1]:7,", plain("::1", 7)),
            ("::1", plain("::1", DEFAULT_PORT)),
            (
                "redis,abortConnect=false, NAME = x,channelPrefix=y,ssl=OFF,password=,$CONFIG=",
                plain("redis", DEFAULT_PORT),
            ),
            (
                "redis.example,password=p=://s=,SSL=True,user=hub,defaultDatabase=2,connectTimeout=5000,sslHost=Redis.example",
                full,
            ),
            ("a,b:5,serviceName=master", sentinels),
            ("a,b:5,password=x", several),
        ] {
            assert_eq!(parse(text), Ok(redis), "{text}");
        }
    }

    #[test]
    fn redis_address_invalid_error_names_cause_without_secrets() {
        let value = |name, needs| RedisConfigError::InvalidValue { name, needs };
        for (text, expected) in [
            ("", RedisConfigError::NoHost),
            ("password=SECRET", RedisConfigError::NoHost),
            ("redis://", RedisConfigError::NoHost),
            ("http://SECRET", RedisConfigError::InvalidUrl),
            ("redis://SECRET?protocol=resp3", RedisConfigError::InvalidUrl),
            ("redis://host:SECRET", RedisConfigError::InvalidUrl),
            ("redis://host/SECRET", RedisConfigError::InvalidDatabase),
            ("redis+sentinel://host", RedisConfigError::InvalidSentinelUrl),
            ("redis+sentinel://SECRET@host/", RedisConfigError::InvalidSentinelUrl),
            ("redis+sentinel://host,/SECRET", RedisConfigError::InvalidSentinelUrl),
            ("redis+sentinel://host:SECRET/a", RedisConfigError::InvalidSentinelUrl),
            ("redis+sentinel://host/SECRET?a", RedisConfigError::InvalidSentinelUrl),
            ("redis+sentinel://host/a/SECRET", RedisConfigError::InvalidDatabase),
            ("redis://a:%FFSECRET@host", RedisConfigError::InvalidEscape),
            ("redis://a:SECRET%@host", RedisConfigError::InvalidEscape),
            ("redis+sentinel://a:%4%31SECRET@host/a", RedisConfigError::InvalidEscape),
            ("host,SECRET:x", RedisConfigError::InvalidPart(2)),
            ("host,[]:1", RedisConfigError::InvalidPart(2)),
            ("host,SECRET==", RedisConfigError::UnknownOption(2)),
            ("host,=SECRET", RedisConfigError::UnknownOption(2)),
            ("host,user=a,USER=SECRET", RedisConfigError::Duplicate("user")),
            ("host,ssl=SECRET", value("ssl", "true or false")),
            ("host,defaultDatabase=SECRET", value("defaultDatabase", "a whole number")),
            ("host,connectTimeout=-1", value("connectTimeout", "a whole number")),
            ("host,tunnel=http:SECRET", RedisConfigError::Unsupported("tunnel")),
            ("host,sslHost=SECRET", RedisConfigError::Unsupported("an sslHost that differs from the host")),
            ("host,$PUBLISH=SECRET", RedisConfigError::Unsupported("renaming a command")),
        ] {
            let error = parse(text).expect_err(text);
            assert_eq!(error, expected, "{text}");
            assert!(!format!("{error} {error:?}").contains("SECRET"), "{text}");
        }
        assert!(!format!("{:?}", parse("host,password=SECRET")).contains("SECRET"));
    }

    #[test]
    fn redis_login_or_ca_file_contradicting_address_is_rejected() {
        let redis = || parse("host,password=SECRET,user=a").expect("fine");
        let conflict = |key| Err((key, RedisConfigError::Conflict));
        assert_eq!(redis().with_login(Some("b".to_owned()), None), conflict("backplane.redis.username"));
        assert_eq!(redis().with_login(None, Some("b".into())), conflict("backplane.redis.password"));
        assert_eq!(redis().with_login(None, None), Ok(redis()));
        let with_login = plain("host", 1).with_login(Some("a".to_owned()), Some("b".into())).expect("fine");
        assert_eq!((with_login.username.as_deref(), with_login.password), (Some("a"), Some("b".into())));
        assert_eq!(redis().with_ca_file(Some("/ca".into())), Err(RedisConfigError::CaFileWithoutTls));
        let tls = parse("rediss://host").expect("fine").with_ca_file(Some("/ca".into())).expect("fine");
        assert_eq!(tls.ca_file, Some("/ca".into()));
    }
}
