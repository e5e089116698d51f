//! The section `backplane`: how several replicas are connected.

use std::path::PathBuf;

use super::layers::ConfigReader;
use super::redis::{RedisConfig, parse_redis_address};
use super::values::Bytes;
use crate::secret::Secret;

/// Settings of the backplane.
#[derive(Debug, Clone)]
pub struct BackplaneConfig {
    /// The address of Redis. `None` means a single replica.
    pub redis: Option<RedisConfig>,
    /// The prefix of all channel names.
    pub channel_prefix: String,
    /// The maximum number of pushes in the publish buffer.
    pub max_pending_pushes: usize,
    /// The maximum size of the publish buffer, in bytes.
    pub max_pending_bytes: usize,
}

const URL: &str = "backplane.redis.url";
const CA_FILE: &str = "backplane.redis.ca_file";
const MAX_PENDING_PUSHES: &str = "backplane.max_pending_pushes";
const MAX_PENDING_BYTES: &str = "backplane.max_pending_bytes";

/// The minimum of `backplane.max_pending_bytes`. Every push that `/send` accepts fits, in the frames of both protocols.
const MIN_BUFFER_BYTES: usize = 4 << 20;

/// The maximum of `backplane.max_pending_bytes`.
const MAX_BUFFER_BYTES: usize = 2 << 30;

/// The channel prefix of the upstream Bitwarden service.
const DEFAULT_CHANNEL_PREFIX: &str = "Notifications";

/// Reads every key of the section. If it returns a wrong value, it has recorded a problem.
pub(super) fn read(reader: &mut ConfigReader) -> BackplaneConfig {
    let url: Option<Secret> = reader.get(URL, None);
    let username: Option<String> = reader.get("backplane.redis.username", None);
    let password: Option<Secret> = reader.get("backplane.redis.password", None);
    let ca_file: Option<PathBuf> = reader.get(CA_FILE, None);
    let channel_prefix = reader.get("backplane.redis.channel_prefix", DEFAULT_CHANNEL_PREFIX.to_owned());
    let max_pending_pushes = reader.get(MAX_PENDING_PUSHES, 10_000);
    reader.check(MAX_PENDING_PUSHES, (1..=1_000_000).contains(&max_pending_pushes), "must be from 1 to 1000000");
    let Bytes(max_pending_bytes) = reader.get(MAX_PENDING_BYTES, Bytes(64 << 20));
    let is_in_range = (MIN_BUFFER_BYTES..=MAX_BUFFER_BYTES).contains(&max_pending_bytes);
    reader.check(MAX_PENDING_BYTES, is_in_range, "must be from 4MiB to 2048MiB");
    let redis = url.and_then(|url| {
        parse_redis(&url, username, password, ca_file).map_err(|(key, reason)| reader.check(key, false, &reason)).ok()
    });
    BackplaneConfig { redis, channel_prefix, max_pending_pushes, max_pending_bytes }
}

/// Parses the settings of Redis. An error names the key that is wrong.
fn parse_redis(
    url: &Secret,
    username: Option<String>,
    password: Option<Secret>,
    ca_file: Option<PathBuf>,
) -> Result<RedisConfig, (&'static str, String)> {
    let redis = parse_redis_address(url).map_err(|error| (URL, error.to_string()))?;
    let redis = redis.with_login(username, password).map_err(|(key, error)| (key, error.to_string()))?;
    redis.with_ca_file(ca_file).map_err(|error| (CA_FILE, error.to_string()))
}

#[cfg(test)]
mod tests {
    use crate::config::{BackplaneConfig, Config, Layers};

    fn parse(section: &str) -> Result<Config, String> {
        let file = format!("[backplane]\n{section}");
        Config::parse(Layers { file: Some(("hub.toml", &file)), ..Layers::default() }).map_err(|all| all.to_string())
    }

    #[test]
    fn backplane_defaults_to_no_redis() {
        let BackplaneConfig { redis, channel_prefix, max_pending_pushes, max_pending_bytes } =
            parse("").expect("fine").backplane;
        assert_eq!(
            (redis, &*channel_prefix, max_pending_pushes, max_pending_bytes),
            (None, "Notifications", 10_000, 64 << 20)
        );
    }

    #[test]
    fn redis_with_separate_password_parses_and_hides_secrets() {
        let config = parse(
            "redis.url = 'rediss://redis:7'\nredis.password = 'SECRET'\nredis.ca_file = '/ca'\nmax_pending_pushes = 5",
        );
        let config = config.expect("fine");
        let redis = config.backplane.redis.as_ref().expect("Redis");
        assert_eq!(
            (&*redis.servers, redis.tls, config.backplane.max_pending_pushes),
            (&[("redis".to_owned(), 7)][..], true, 5)
        );
        assert_eq!(redis.password.as_ref().map(|password| password.reveal()), Some("SECRET"));
        assert!(!format!("{config:?}").contains("SECRET"));
        for key in [super::URL, "backplane.redis.password"] {
            let setting = config.effective_settings().iter().find(|setting| setting.key == key).expect("the key");
            assert_eq!(setting.value, "***", "{key}");
        }
    }

    #[test]
    fn backplane_invalid_value_error_names_key_without_secrets() {
        for (section, expected) in [
            ("redis.url = 'http://SECRET'", "backplane.redis.url (hub.toml): must be redis://"),
            ("redis.url = 'redis+sentinel://SECRET@a'", "backplane.redis.url (hub.toml): must be redis+sentinel://"),
            (
                "redis.url = 'a,password=SECRET'\nredis.password = 'SECRET'",
                "backplane.redis.password (hub.toml): already set",
            ),
            ("redis.url = 'a'\nredis.ca_file = '/ca'", "backplane.redis.ca_file (hub.toml): needs TLS"),
            ("max_pending_pushes = 0", "backplane.max_pending_pushes (hub.toml): must be from 1"),
            ("max_pending_bytes = '1MiB'", "backplane.max_pending_bytes (hub.toml): must be from 4MiB"),
        ] {
            let problem = parse(section).expect_err(section);
            assert!(problem.starts_with(expected) && !problem.contains("SECRET"), "{problem}");
        }
    }
}
