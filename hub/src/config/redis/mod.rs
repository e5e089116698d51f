//! The address of Redis: a URL, or a connection string of StackExchange.Redis, which Bitwarden's deployments use
//! (`bitwarden.md` 2.9). No I/O. No error quotes its input, because any part of it may be the password.

mod connection_string;
mod host_port;
mod redis_config;
mod redis_config_error;
mod url;

pub use redis_config::RedisConfig;
pub use redis_config_error::RedisConfigError;

use crate::secret::Secret;
use connection_string::parse_connection_string;
use url::parse_url;

/// Parses a URL or a connection string.
///
/// # Errors
/// The first problem that is found.
pub fn parse_redis_address(address: &Secret) -> Result<RedisConfig, RedisConfigError> {
    let text = address.reveal().trim();
    // A password may contain "://", but a comma precedes it.
    match text.split_once("://") {
        Some((scheme, _)) if !scheme.contains([',', '=']) => parse_url(text),
        _ => parse_connection_string(text),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::host_port::{DEFAULT_PORT, DEFAULT_SENTINEL_PORT, DEFAULT_TLS_PORT};
    use super::*;

    fn parse(text: &str) -> Result<RedisConfig, RedisConfigError> {
        parse_redis_address(&text.into())
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
