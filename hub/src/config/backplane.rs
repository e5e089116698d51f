//! What connects several replicas.

use std::path::PathBuf;

use super::Redis;
use super::sources::ConfigReader;
use super::values::Bytes;
use crate::secret::Secret;

/// How replicas reach each other's clients.
#[derive(Debug, Clone)]
pub struct BackplaneConfig {
    /// Redis; nothing if there is one replica.
    pub redis: Option<Redis>,
    /// What the names of all channels begin with.
    pub channel_prefix: String,
    /// How many pushes may wait for Redis.
    pub hold: usize,
    /// How many bytes these may have.
    pub hold_bytes: usize,
}

const URL: &str = "backplane.redis.url";
const CA_FILE: &str = "backplane.redis.ca_file";
const HOLD: &str = "backplane.hold";
const HOLD_BYTES: &str = "backplane.hold_bytes";

/// The least room in bytes: every push that `/send` takes fits, in the frames of both protocols.
const MIN_HOLD_BYTES: usize = 4 << 20;

/// The most.
const MAX_HOLD_BYTES: usize = 2 << 30;

/// Bitwarden's.
const PREFIX: &str = "Notifications";

/// Reads every key of the section; where something is wrong, that is noted and the value is of no account.
pub(super) fn read(layers: &mut ConfigReader) -> BackplaneConfig {
    let url: Option<Secret> = layers.get(URL, None);
    let username: Option<String> = layers.get("backplane.redis.username", None);
    let password: Option<Secret> = layers.get("backplane.redis.password", None);
    let ca_file: Option<PathBuf> = layers.get(CA_FILE, None);
    let channel_prefix = layers.get("backplane.redis.channel_prefix", PREFIX.to_owned());
    let hold = layers.get(HOLD, 10_000);
    layers.check(HOLD, (1..=1_000_000).contains(&hold), "has to be from 1 to 1000000");
    let Bytes(hold_bytes) = layers.get(HOLD_BYTES, Bytes(64 << 20));
    let fits = (MIN_HOLD_BYTES..=MAX_HOLD_BYTES).contains(&hold_bytes);
    layers.check(HOLD_BYTES, fits, "has to be from 4MiB to 2048MiB");
    let redis = url.and_then(|url| {
        redis(&url, username, password, ca_file).map_err(|(key, reason)| layers.check(key, false, &reason)).ok()
    });
    BackplaneConfig { redis, channel_prefix, hold, hold_bytes }
}

fn redis(
    url: &Secret,
    username: Option<String>,
    password: Option<Secret>,
    ca_file: Option<PathBuf>,
) -> Result<Redis, (&'static str, String)> {
    let redis = Redis::parse(url).map_err(|error| (URL, error.to_string()))?;
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
        let BackplaneConfig { redis, channel_prefix, hold, hold_bytes } = parse("").expect("fine").backplane;
        assert_eq!((redis, &*channel_prefix, hold, hold_bytes), (None, "Notifications", 10_000, 64 << 20));
    }

    #[test]
    fn redis_with_separate_password_parses_and_hides_secrets() {
        let config =
            parse("redis.url = 'rediss://redis:7'\nredis.password = 'SECRET'\nredis.ca_file = '/ca'\nhold = 5");
        let config = config.expect("fine");
        let redis = config.backplane.redis.as_ref().expect("Redis");
        assert_eq!((&*redis.servers, redis.tls, config.backplane.hold), (&[("redis".to_owned(), 7)][..], true, 5));
        assert_eq!(redis.password.as_ref().map(|password| password.reveal()), Some("SECRET"));
        assert!(!format!("{config:?}").contains("SECRET"));
        for shown in config.shown().iter().filter(|shown| ["url", "word"].iter().any(|end| shown.key.ends_with(end))) {
            assert!(!shown.value.contains("SECRET") && !shown.value.contains("rediss"), "{shown:?}");
        }
    }

    #[test]
    fn backplane_invalid_value_error_names_key_without_secrets() {
        for (section, expected) in [
            ("redis.url = 'http://SECRET'", "backplane.redis.url (hub.toml): has to be redis://"),
            ("redis.url = 'redis+sentinel://SECRET@a'", "backplane.redis.url (hub.toml): has to be redis+sentinel://"),
            (
                "redis.url = 'a,password=SECRET'\nredis.password = 'SECRET'",
                "backplane.redis.password (hub.toml): cannot stand beside",
            ),
            ("redis.url = 'a'\nredis.ca_file = '/ca'", "backplane.redis.ca_file (hub.toml): goes with TLS only"),
            ("hold = 0", "backplane.hold (hub.toml): has to be from 1"),
            ("hold_bytes = '1MiB'", "backplane.hold_bytes (hub.toml): has to be from 4MiB"),
        ] {
            let problem = parse(section).expect_err(section);
            assert!(problem.starts_with(expected) && !problem.contains("SECRET"), "{problem}");
        }
    }
}
