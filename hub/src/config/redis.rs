//! How Redis is reached: as a URL, or as a connection string of StackExchange.Redis, which is what Bitwarden's deployments
//! have (`bitwarden.md` 2.9). No I/O. No error repeats what it was given: any part may be the password.

use std::path::PathBuf;
use std::time::Duration;

use reqwest::Url;

use crate::secret::Secret;

/// A Redis, several of which one is the master, or the Sentinels that know where it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Redis {
    /// Hosts and ports, at least one: of Redis itself and its replicas, or of the Sentinels.
    pub servers: Vec<(String, u16)>,
    /// The name under which the Sentinels know the master.
    pub service: Option<String>,
    /// Whether TLS is spoken.
    pub tls: bool,
    /// The certificate authority, if it is not one of the system's.
    pub ca_file: Option<PathBuf>,
    /// Whose rights are used, if not the default user's.
    pub username: Option<String>,
    /// The password.
    pub password: Option<Secret>,
    /// The database, for what is kept; what is published knows none.
    pub database: u32,
    /// How long it may take to connect, if that is said.
    pub connect_timeout: Option<Duration>,
}

/// What is wrong with the address of Redis, or with what stands beside it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RedisError {
    /// No URL of Redis.
    #[error(
        "has to be redis://HOST, rediss://HOST or redis+sentinel://HOST,HOST/SERVICE, with a login, a port and a database or without, and nothing else"
    )]
    Url,
    /// No URL of Sentinels.
    #[error(
        "has to be redis+sentinel://HOST,HOST/SERVICE, with a login, ports and a database behind the service or without"
    )]
    SentinelUrl,
    /// No number behind the slash.
    #[error("has a database that is no number")]
    Database,
    /// A login with an escape that is none.
    #[error("has a login whose percent escapes are no UTF-8")]
    Escape,
    /// No host at all.
    #[error("names no host")]
    NoHost,
    /// A part that is neither.
    #[error("part {0} is neither HOST:PORT nor NAME=VALUE")]
    Part(usize),
    /// An option that StackExchange.Redis does not know, and refuses too.
    #[error("part {0} has a name that connection strings do not know")]
    Unknown(usize),
    /// A name is there twice.
    #[error("{0} is there twice")]
    Twice(&'static str),
    /// A value of another kind.
    #[error("{name} has to be {needs}")]
    Value {
        /// Which.
        name: &'static str,
        /// What is asked of it.
        needs: &'static str,
    },
    /// An option that cannot be served.
    #[error("{0} is not served")]
    Unserved(&'static str),
    /// The same thing in two settings.
    #[error("cannot stand beside the one in backplane.redis.url")]
    Beside,
    /// An authority for nothing.
    #[error("goes with TLS only: rediss://, or ssl=true")]
    NoTls,
}

use RedisError as Wrong;

const PORT: u16 = 6379;
const TLS_PORT: u16 = 6380;
const SENTINEL_PORT: u16 = 26379;

const CONNECT_TIMEOUT: &str = "connectTimeout";
const DATABASE: &str = "defaultDatabase";
const PASSWORD: &str = "password";
const SERVICE: &str = "serviceName";
const SSL: &str = "ssl";
const SSL_HOST: &str = "sslHost";
const TUNNEL: &str = "tunnel";
const USER: &str = "user";

/// Every option of a connection string. Those that are not read below tell that library how to go about its work, or, as
/// the prefix of channels, are overruled by Bitwarden.
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

impl Redis {
    /// Reads a URL or a connection string.
    ///
    /// # Errors
    /// The first thing that is wrong with it.
    pub fn parse(address: &Secret) -> Result<Redis, RedisError> {
        let text = address.reveal().trim();
        // A password may hold anything, but stands behind a comma.
        match text.split_once("://") {
            Some((scheme, _)) if !scheme.contains([',', '=']) => by_url(text),
            _ => by_connection_string(text),
        }
    }

    /// The same with a user's name and a password that are given apart from the address.
    ///
    /// # Errors
    /// If the address has one as well; with the setting that is one too many.
    pub fn with_login(
        self,
        username: Option<String>,
        password: Option<Secret>,
    ) -> Result<Redis, (&'static str, RedisError)> {
        if username.is_some() && self.username.is_some() {
            return Err(("backplane.redis.username", Wrong::Beside));
        }
        if password.is_some() && self.password.is_some() {
            return Err(("backplane.redis.password", Wrong::Beside));
        }
        Ok(Redis { username: username.or(self.username), password: password.or(self.password), ..self })
    }

    /// The same with a certificate authority of its own.
    ///
    /// # Errors
    /// If there is no TLS that it could vouch for.
    pub fn with_ca_file(self, ca_file: Option<PathBuf>) -> Result<Redis, RedisError> {
        if ca_file.is_some() && !self.tls { Err(Wrong::NoTls) } else { Ok(Redis { ca_file, ..self }) }
    }
}

/// `redis+sentinel://LOGIN@HOST:PORT,HOST:PORT/SERVICE/DATABASE`, which no library of URLs reads: it has several hosts.
fn by_sentinel_url(rest: &str, tls: bool) -> Result<Redis, RedisError> {
    let (authority, path) = rest.split_once('/').ok_or(Wrong::SentinelUrl)?;
    let (login, hosts) = authority.rsplit_once('@').map_or((None, authority), |(login, hosts)| (Some(login), hosts));
    let (username, password) = login.map(|login| login.split_once(':').unwrap_or((login, ""))).unzip();
    let given = |text: Option<&str>| text.filter(|text| !text.is_empty()).map(unescaped).transpose();
    let servers = hosts.split(',').map(|text| {
        let (host, port) = host(text)?;
        Some((host, port.unwrap_or(SENTINEL_PORT)))
    });
    let servers = servers.collect::<Option<Vec<_>>>().ok_or(Wrong::SentinelUrl)?;
    let (service, database) = path.split_once('/').unwrap_or((path, ""));
    if service.is_empty() || service.contains(['?', '#']) {
        return Err(Wrong::SentinelUrl);
    }
    Ok(Redis {
        servers,
        service: Some(unescaped(service)?),
        tls,
        ca_file: None,
        username: given(username)?,
        password: given(password)?.map(Secret::from),
        database: if database.is_empty() { 0 } else { database.parse().map_err(|_| Wrong::Database)? },
        connect_timeout: None,
    })
}

fn by_url(text: &str) -> Result<Redis, RedisError> {
    for (scheme, tls) in [("redis+sentinel://", false), ("rediss+sentinel://", true)] {
        if let Some(rest) = text.strip_prefix(scheme) {
            return by_sentinel_url(rest, tls);
        }
    }
    let url = Url::parse(text).map_err(|_| Wrong::Url)?;
    let tls = match url.scheme() {
        "redis" => false,
        "rediss" => true,
        _ => return Err(Wrong::Url),
    };
    if url.query().is_some() || url.fragment().is_some() {
        return Err(Wrong::Url);
    }
    let host = url.host_str().filter(|host| !host.is_empty()).ok_or(Wrong::NoHost)?;
    let database = match url.path().trim_start_matches('/') {
        "" => 0,
        number => number.parse().map_err(|_| Wrong::Database)?,
    };
    let username = Some(url.username()).filter(|name| !name.is_empty()).map(unescaped).transpose()?;
    let password = url.password().filter(|password| !password.is_empty()).map(unescaped).transpose()?;
    Ok(Redis {
        servers: vec![(bare(host), url.port().unwrap_or(PORT))],
        service: None,
        tls,
        ca_file: None,
        username,
        password: password.map(Secret::from),
        database,
        connect_timeout: None,
    })
}

fn by_connection_string(text: &str) -> Result<Redis, RedisError> {
    let mut hosts = Vec::new();
    let mut options: Vec<(&'static str, &str)> = Vec::new();
    for (place, part) in text.split(',').map(str::trim).enumerate().filter(|(_, part)| !part.is_empty()) {
        let Some((name, value)) = part.split_once('=') else {
            hosts.push(host(part).ok_or(Wrong::Part(place + 1))?);
            continue;
        };
        // A command that is turned off, as CONFIG often is, does not matter; one by another name would not be found.
        if name.starts_with('$') {
            if value.trim().is_empty() {
                continue;
            }
            return Err(Wrong::Unserved("another name for a command"));
        }
        let known = OPTIONS.into_iter().find(|known| known.eq_ignore_ascii_case(name.trim()));
        let name = known.ok_or(Wrong::Unknown(place + 1))?;
        if options.iter().any(|(there, _)| *there == name) {
            return Err(Wrong::Twice(name));
        }
        options.push((name, value.trim()));
    }
    let option = |wanted: &'static str| {
        let found = options.iter().find(|(name, _)| *name == wanted).map(|(_, value)| *value);
        found.filter(|value| !value.is_empty())
    };
    let tls = option(SSL).map_or(Ok(false), |value| flag(value).ok_or(value_of(SSL, "true or false")))?;
    let service = option(SERVICE).map(str::to_owned);
    if hosts.is_empty() {
        return Err(Wrong::NoHost);
    }
    if option(TUNNEL).is_some() {
        return Err(Wrong::Unserved(TUNNEL));
    }
    if option(SSL_HOST).is_some_and(|name| hosts.iter().any(|(host, _)| !host.eq_ignore_ascii_case(name))) {
        return Err(Wrong::Unserved("sslHost other than the host"));
    }
    let number = |name| option(name).map(|value| value.parse::<u32>().map_err(|_| value_of(name, "a whole number")));
    let port = match (&service, tls) {
        (Some(_), _) => SENTINEL_PORT,
        (None, true) => TLS_PORT,
        (None, false) => PORT,
    };
    Ok(Redis {
        servers: hosts.into_iter().map(|(host, given)| (host, given.unwrap_or(port))).collect(),
        service,
        tls,
        ca_file: None,
        username: option(USER).map(str::to_owned),
        password: option(PASSWORD).map(Secret::from),
        database: number(DATABASE).transpose()?.unwrap_or(0),
        connect_timeout: number(CONNECT_TIMEOUT).transpose()?.map(|time| Duration::from_millis(time.into())),
    })
}

fn value_of(name: &'static str, needs: &'static str) -> RedisError {
    Wrong::Value { name, needs }
}

/// What that library takes for a flag.
fn flag(value: &str) -> Option<bool> {
    let is = |names: [&str; 4]| names.iter().any(|name| name.eq_ignore_ascii_case(value));
    match value {
        _ if is(["true", "yes", "on", "1"]) => Some(true),
        _ if is(["false", "no", "off", "0"]) => Some(false),
        _ => None,
    }
}

/// `HOST`, `HOST:PORT` or `[ADDRESS]:PORT`.
fn host(text: &str) -> Option<(String, Option<u16>)> {
    let (host, port) = match text.rsplit_once(':') {
        Some((host, port)) if host.ends_with(']') || !host.contains(':') => (host, Some(port.parse().ok()?)),
        _ => (text, None),
    };
    let fits = !host.is_empty() && !host.contains(|letter: char| letter.is_whitespace() || "/@!".contains(letter));
    fits.then(|| (bare(host), port))
}

/// An address without the brackets that it has before a port.
fn bare(host: &str) -> String {
    host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host).to_owned()
}

/// What a part of a URL says.
fn unescaped(text: &str) -> Result<String, RedisError> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, tail)) = rest.split_first() {
        let hex = |byte: u8| char::from(byte).to_digit(16).map(|digit| digit as u8);
        rest = tail;
        match (first, tail) {
            (b'%', [high, low, after @ ..]) => {
                let (high, low) = hex(*high).zip(hex(*low)).ok_or(Wrong::Escape)?;
                bytes.push(high << 4 | low);
                rest = after;
            }
            (b'%', _) => return Err(Wrong::Escape),
            (other, _) => bytes.push(other),
        }
    }
    String::from_utf8(bytes).map_err(|_| Wrong::Escape)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Redis, RedisError> {
        Redis::parse(&text.into())
    }

    fn plain(host: &str, port: u16) -> Redis {
        Redis {
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
        let with_login =
            Redis { username: Some("hub".to_owned()), password: Some("p@s".into()), database: 3, ..plain("redis", 7) };
        for (text, redis) in [
            ("redis://redis", plain("redis", PORT)),
            (" redis://redis:6380/ ", plain("redis", 6380)),
            ("redis://[::1]:7", plain("::1", 7)),
            ("rediss://redis", Redis { tls: true, ..plain("redis", PORT) }),
            ("redis://hub:p%40s@redis:7/3", with_login),
            (
                "redis+sentinel://hub:p%40s@a,b:7,[::1]:8/vault/3",
                Redis {
                    servers: vec![("a".to_owned(), SENTINEL_PORT), ("b".to_owned(), 7), ("::1".to_owned(), 8)],
                    service: Some("vault".to_owned()),
                    username: Some("hub".to_owned()),
                    password: Some("p@s".into()),
                    database: 3,
                    ..plain("", 0)
                },
            ),
            (
                "rediss+sentinel://a:7/va%2Fult",
                Redis { service: Some("va/ult".to_owned()), tls: true, ..plain("a", 7) },
            ),
            ("redis://:p=,:%2F%2F@redis", Redis { password: Some("p=,://".into()), ..plain("redis", PORT) }),
        ] {
            assert_eq!(parse(text), Ok(redis), "{text}");
        }
    }

    #[test]
    fn redis_connection_string_parses() {
        let full = Redis {
            tls: true,
            username: Some("hub".to_owned()),
            password: Some("p=://s=".into()),
            database: 2,
            connect_timeout: Some(Duration::from_secs(5)),
            ..plain("redis.example", TLS_PORT)
        };
        let sentinels = Redis {
            servers: vec![("a".to_owned(), SENTINEL_PORT), ("b".to_owned(), 5)],
            service: Some("master".to_owned()),
            ..plain("", 0)
        };
        let several = Redis {
            servers: vec![("a".to_owned(), PORT), ("b".to_owned(), 5)],
            password: Some("x".into()),
            ..plain("", 0)
        };
        for (text, redis) in [
            ("redis", plain("redis", PORT)),
            ("redis:6380", plain("redis", 6380)),
            ("[::1]:7,", plain("::1", 7)),
            ("::1", plain("::1", PORT)),
            ("redis,abortConnect=false, NAME = x,channelPrefix=y,ssl=OFF,password=,$CONFIG=", plain("redis", PORT)),
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
        let value = |name, needs| Wrong::Value { name, needs };
        for (text, wrong) in [
            ("", Wrong::NoHost),
            ("password=SECRET", Wrong::NoHost),
            ("redis://", Wrong::NoHost),
            ("http://SECRET", Wrong::Url),
            ("redis://SECRET?protocol=resp3", Wrong::Url),
            ("redis://host:SECRET", Wrong::Url),
            ("redis://host/SECRET", Wrong::Database),
            ("redis+sentinel://host", Wrong::SentinelUrl),
            ("redis+sentinel://SECRET@host/", Wrong::SentinelUrl),
            ("redis+sentinel://host,/SECRET", Wrong::SentinelUrl),
            ("redis+sentinel://host:SECRET/a", Wrong::SentinelUrl),
            ("redis+sentinel://host/SECRET?a", Wrong::SentinelUrl),
            ("redis+sentinel://host/a/SECRET", Wrong::Database),
            ("redis://a:%FFSECRET@host", Wrong::Escape),
            ("redis://a:SECRET%@host", Wrong::Escape),
            ("host,SECRET:x", Wrong::Part(2)),
            ("host,SECRET==", Wrong::Unknown(2)),
            ("host,=SECRET", Wrong::Unknown(2)),
            ("host,user=a,USER=SECRET", Wrong::Twice("user")),
            ("host,ssl=SECRET", value("ssl", "true or false")),
            ("host,defaultDatabase=SECRET", value("defaultDatabase", "a whole number")),
            ("host,connectTimeout=-1", value("connectTimeout", "a whole number")),
            ("host,tunnel=http:SECRET", Wrong::Unserved("tunnel")),
            ("host,sslHost=SECRET", Wrong::Unserved("sslHost other than the host")),
            ("host,$PUBLISH=SECRET", Wrong::Unserved("another name for a command")),
        ] {
            let error = parse(text).expect_err(text);
            assert_eq!(error, wrong, "{text}");
            assert!(!format!("{error} {error:?}").contains("SECRET"), "{text}");
        }
        assert!(!format!("{:?}", parse("host,password=SECRET")).contains("SECRET"));
    }

    #[test]
    fn redis_login_or_ca_file_contradicting_address_is_rejected() {
        let redis = || parse("host,password=SECRET,user=a").expect("fine");
        let beside = |key| Err((key, Wrong::Beside));
        assert_eq!(redis().with_login(Some("b".to_owned()), None), beside("backplane.redis.username"));
        assert_eq!(redis().with_login(None, Some("b".into())), beside("backplane.redis.password"));
        assert_eq!(redis().with_login(None, None), Ok(redis()));
        let given = plain("host", 1).with_login(Some("a".to_owned()), Some("b".into())).expect("fine");
        assert_eq!((given.username.as_deref(), given.password), (Some("a"), Some("b".into())));
        assert_eq!(redis().with_ca_file(Some("/ca".into())), Err(Wrong::NoTls));
        let tls = parse("rediss://host").expect("fine").with_ca_file(Some("/ca".into())).expect("fine");
        assert_eq!(tls.ca_file, Some("/ca".into()));
    }
}
