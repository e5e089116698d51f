//! The configuration of a hub, as typed settings. Flags override the environment, which overrides the file and the defaults.
//! No I/O: the caller reads the file and the environment.
//!
//! [`Config::parse`] reads every key, with its default beside it. A key that it does not read is unknown.

mod backplane;
mod bitwarden_env;
mod layers;
mod limits;
mod redis;
mod setting;
mod source;
mod values;

pub use backplane::BackplaneConfig;
pub use layers::{ConfigError, ConfigErrors, EffectiveSetting, Layers, Origin};
pub use limits::Limits;
pub use redis::{RedisConfig, RedisConfigError, parse_redis_address};
pub use setting::Setting;
pub use source::{AzureQueueConfig, SourceConfig};
pub use values::LogFormat;
use values::{Address, Bytes, Level, Prefix, Url};

use std::path::PathBuf;
use std::time::Duration;

use uuid::Uuid;

/// The configuration of a hub.
#[derive(Debug, Clone)]
pub struct Config {
    /// Addresses and options of the ports.
    pub listen: Listen,
    /// The number of reactors.
    pub reactors: usize,
    /// Rules for tokens.
    pub auth: Auth,
    /// The source of pushes.
    pub source: SourceConfig,
    /// The connection to other replicas.
    pub backplane: BackplaneConfig,
    /// The file of the key that signs connection tokens. `None` means a random key for each process.
    pub connection_token_key: Option<PathBuf>,
    /// The installation whose pushes go to every connection.
    pub installation: Option<Uuid>,
    /// Timeouts and sizes of the SignalR protocol.
    pub signalr: SignalR,
    /// The interval of Bitwarden's `Heartbeat` to every client.
    pub heartbeat_interval: Duration,
    /// Write limits of each connection.
    pub slow_consumer: SlowConsumer,
    /// Limits of connections.
    pub limits: Limits,
    /// Allowed origins of cross-origin requests.
    pub cors: Vec<String>,
    /// Settings of the catch-up.
    pub catch_up: CatchUpConfig,
    /// Settings of the shutdown.
    pub drain: Drain,
    /// Settings of the log.
    pub log: Log,
    effective_settings: Vec<EffectiveSetting>,
    warnings: Vec<String>,
}

/// Addresses as `HOST:PORT`, and options of the public port. With port 0, the system chooses the port.
#[derive(Debug, Clone)]
pub struct Listen {
    /// The public port, for clients.
    pub public: String,
    /// The internal port, for senders.
    pub internal: String,
    /// The admin port, for probes and metrics.
    pub admin: String,
    /// Whether the public port serves `/send` too, as the upstream Bitwarden service does.
    pub send_on_public: bool,
    /// Whether trusted proxies may begin a connection to the public port with a header of the PROXY protocol.
    pub proxy_protocol: bool,
}

/// Rules for tokens, and the sources of their keys.
#[derive(Debug, Clone)]
pub struct Auth {
    /// The URL of the identity server.
    pub authority: Option<String>,
    /// The required issuer. `None` means the issuer of the identity server for its keys, and any issuer for other keys.
    pub issuer: Option<String>,
    /// The accepted audiences. Empty means any audience.
    pub audiences: Vec<String>,
    /// The tolerated difference between clocks.
    pub clock_skew: Duration,
    /// Files and folders of keys.
    pub keys: Vec<PathBuf>,
}

/// Timeouts and sizes of the SignalR protocol (`signalr.md` 2.7).
#[derive(Debug, Clone, Copy)]
pub struct SignalR {
    /// The time limit of a handshake.
    pub handshake_timeout: Duration,
    /// The time without output after which the hub sends a ping.
    pub keep_alive_interval: Duration,
    /// The time without input after which the hub closes a connection that has sent a ping before.
    pub client_timeout_interval: Duration,
    /// The time limit of receiving one message.
    pub message_timeout: Duration,
    /// The time limit of a poll without messages.
    pub poll_timeout: Duration,
    /// The maximum size of a message from a client, including its framing, in bytes.
    pub maximum_receive_message_size: usize,
}

/// Write limits of each connection (`decisions.md` 4).
#[derive(Debug, Clone, Copy)]
pub struct SlowConsumer {
    /// The maximum size of the outbox, in bytes.
    pub max_queued_bytes: usize,
    /// The longest time in which the socket accepts no byte.
    pub write_timeout: Duration,
}

/// Settings of the catch-up (`decisions.md` 5).
#[derive(Debug, Clone, Copy)]
pub struct CatchUpConfig {
    /// Whether the catch-up is on.
    pub enabled: bool,
    /// The time for which records are kept.
    pub window: Duration,
    /// The maximum number of users with records, and of devices.
    pub max_entries: usize,
    /// The time over which syncs are spread after a start or an interruption of the backplane.
    pub spread: Duration,
}

/// Settings of the shutdown (`decisions.md` 7).
#[derive(Debug, Clone, Copy)]
pub struct Drain {
    /// The time after SIGTERM in which the hub serves as before.
    pub delay: Duration,
    /// The time over which Close frames are spread.
    pub duration: Duration,
    /// The time limit of the shutdown, counted from the end of `delay`.
    pub timeout: Duration,
}

/// Settings of the log, which goes to standard output.
#[derive(Debug, Clone)]
pub struct Log {
    /// The level, or directives like `info,notification_hub=debug`.
    pub level: String,
    /// A file with a level that replaces `level`, also when it changes.
    pub level_file: Option<PathBuf>,
    /// The format of the lines.
    pub format: LogFormat,
}

/// The origins of the pages of Bitwarden's desktop application. `cors.origins` defaults to them.
const DESKTOP_ORIGINS: [&str; 2] = ["file://", "bw-desktop-file://bundle"];

/// Parses a log level or directives.
///
/// # Errors
/// The accepted values, as a noun phrase.
pub fn parse_log_level(text: &str) -> Result<String, &'static str> {
    Level::from_toml(&toml::Value::String(text.to_owned())).map(|level| level.0)
}

const SECOND: Duration = Duration::from_secs(1);

impl Config {
    /// Builds the configuration from its layers.
    ///
    /// # Errors
    /// All problems of the configuration.
    pub fn parse(layers: Layers<'_>) -> Result<Config, ConfigErrors> {
        let mut reader = layers.into_reader();
        let listen = Listen {
            public: reader.get("listen.public", Address("[::]:5000".into())).0,
            internal: reader.get("listen.internal", Address("[::]:5001".into())).0,
            admin: reader.get("listen.admin", Address("[::]:9090".into())).0,
            send_on_public: reader.get("listen.send_on_public", false),
            proxy_protocol: reader.get("listen.proxy_protocol", false),
        };
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let reactors = reader.get("reactors", cores.min(4));
        reader.check("reactors", (1..=64).contains(&reactors), "must be from 1 to 64");
        let auth = Auth {
            authority: reader.get("auth.authority", None).map(|Url(url)| url),
            issuer: reader.get("auth.issuer", None),
            audiences: reader.get("auth.audiences", Vec::new()),
            clock_skew: reader.get("auth.clock_skew", 300 * SECOND),
            keys: reader.get("auth.keys", Vec::new()),
        };
        let source = source::read(&mut reader);
        let backplane = backplane::read(&mut reader);
        let connection_token_key = reader.get("connection_token_key_file", None);
        let installation = reader.get("installation.id", None);
        let signalr = SignalR {
            handshake_timeout: reader.get_positive("signalr.handshake_timeout", 15 * SECOND),
            keep_alive_interval: reader.get_positive("signalr.keep_alive_interval", 15 * SECOND),
            client_timeout_interval: reader.get_positive("signalr.client_timeout_interval", 30 * SECOND),
            message_timeout: reader.get_positive("signalr.message_timeout", 30 * SECOND),
            poll_timeout: reader.get_positive("signalr.poll_timeout", 90 * SECOND),
            maximum_receive_message_size: reader.get("signalr.maximum_receive_message_size", Bytes(32 * 1024)).0,
        };
        reader.check(
            "signalr.maximum_receive_message_size",
            signalr.maximum_receive_message_size >= 128,
            "must be at least 128 bytes",
        );
        let heartbeat_interval = reader.get_positive("heartbeat_interval", 120 * SECOND);
        let slow_consumer = SlowConsumer {
            max_queued_bytes: reader.get("slow_consumer.max_queued_bytes", Bytes(64 * 1024)).0,
            write_timeout: reader.get_positive("slow_consumer.write_timeout", 30 * SECOND),
        };
        let limits = Limits {
            max_connections: reader.get("limits.max_connections", 0),
            max_connections_per_user: reader.get("limits.max_connections_per_user", 0),
            max_connections_per_ip: reader.get("limits.max_connections_per_ip", 0),
            ipv6_prefix_length: reader.get("limits.ipv6_prefix_length", Prefix(64)).0,
            trusted_proxies: reader.get("limits.trusted_proxies", Vec::new()),
            max_concurrent_verifications: reader.get("limits.max_concurrent_verifications", 512),
        };
        reader.check(
            "listen.proxy_protocol",
            !listen.proxy_protocol || !limits.trusted_proxies.is_empty(),
            "limits.trusted_proxies is empty; add the proxies that send the header",
        );
        reader.check(
            "limits.max_concurrent_verifications",
            limits.max_concurrent_verifications > 0,
            "must be greater than 0",
        );
        let cors = reader.get("cors.origins", DESKTOP_ORIGINS.map(str::to_owned).to_vec());
        let catch_up = CatchUpConfig {
            enabled: reader.get("catch_up.enabled", true),
            window: reader.get_positive("catch_up.window", 600 * SECOND),
            max_entries: reader.get("catch_up.max_entries", 1_000_000),
            spread: reader.get_positive("catch_up.spread", 30 * SECOND),
        };
        reader.check(
            "catch_up.max_entries",
            catch_up.max_entries > 0,
            "must be greater than 0; to turn the catch-up off, set catch_up.enabled to false",
        );
        let duration = reader.get("drain.duration", if backplane.redis.is_some() { 60 * SECOND } else { 2 * SECOND });
        let drain = Drain {
            delay: reader.get("drain.delay", Duration::ZERO),
            duration,
            timeout: reader.get("drain.timeout", duration + 10 * SECOND),
        };
        reader.check(
            "drain.timeout",
            drain.timeout >= drain.duration,
            "must be greater than or equal to drain.duration",
        );
        let log = Log {
            level: reader.get("log.level", Level("info".into())).0,
            level_file: reader.get("log.level_file", None),
            format: reader.get("log.format", LogFormat::Auto),
        };
        let (effective_settings, warnings) = reader.finish()?;
        Ok(Config {
            listen,
            reactors,
            auth,
            source,
            backplane,
            connection_token_key,
            installation,
            signalr,
            heartbeat_interval,
            slow_consumer,
            limits,
            cors,
            catch_up,
            drain,
            log,
            effective_settings,
            warnings,
        })
    }

    /// Returns every setting with its value and origin. Secrets are masked.
    pub fn effective_settings(&self) -> &[EffectiveSetting] {
        &self.effective_settings
    }

    /// Returns problems that prevent nothing, such as an unknown name in the environment.
    pub fn warnings(&self) -> &[String] {
        &self.warnings
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(file: &str, environment: &[(&str, &str)], flags: &[(&'static str, &str)]) -> Result<Config, ConfigErrors> {
        let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        let environment: Vec<_> = environment.iter().map(owned).collect();
        let flags: Vec<_> = flags.iter().map(|(key, value)| (*key, (*value).to_owned())).collect();
        Config::parse(Layers { file: Some(("hub.toml", file)), environment: &environment, flags: &flags })
    }

    fn problems(file: &str, environment: &[(&str, &str)]) -> Vec<String> {
        parse(file, environment, &[]).expect_err("a problem").iter().map(ToString::to_string).collect()
    }

    #[test]
    fn config_precedence_is_flag_environment_file_default() {
        let file = "heartbeat_interval = '1m'\n[listen]\npublic = '127.0.0.1:1'\ninternal = '127.0.0.1:1'\nadmin = '127.0.0.1:1'";
        let environment =
            [("NOTIFICATION_HUB__LISTEN__INTERNAL", "127.0.0.1:2"), ("NOTIFICATION_HUB__LISTEN__ADMIN", "127.0.0.1:2")];
        let config = parse(file, &environment, &[("listen.admin", "127.0.0.1:3")]).expect("fine");
        let listen = [&*config.listen.public, &*config.listen.internal, &*config.listen.admin];
        assert_eq!(listen, ["127.0.0.1:1", "127.0.0.1:2", "127.0.0.1:3"]);
        assert_eq!(config.heartbeat_interval, Duration::from_secs(60));
        assert_eq!(config.signalr.keep_alive_interval, Duration::from_secs(15));
        let origins: Vec<String> =
            config.effective_settings()[..4].iter().map(|setting| setting.origin.to_string()).collect();
        assert_eq!(origins, ["hub.toml", "NOTIFICATION_HUB__LISTEN__INTERNAL", "--listen-admin", "default"]);
    }

    #[test]
    fn config_error_lists_every_problem_with_its_key() {
        let file = "reactors = 0\nnonsense = 1\n[auth]\nclock_skew = 'soon'\n[signalr]\nkeep_alive_interval = '0s'";
        let environment = [("NOTIFICATION_HUB__INSTALLATION__ID", "x")];
        assert_eq!(
            problems(file, &environment),
            [
                "reactors (hub.toml): must be from 1 to 64",
                "auth.clock_skew (hub.toml): invalid value \"soon\"; use a duration like 15s, 2m, 1h30m or 250ms",
                "installation.id (NOTIFICATION_HUB__INSTALLATION__ID): invalid value \"x\"; use a UUID",
                "signalr.keep_alive_interval (hub.toml): must be greater than 0",
                "nonsense (hub.toml): unknown setting; check its name",
            ]
        );
    }

    #[test]
    fn config_file_invalid_toml_is_one_problem_without_content() {
        let problems = problems("a = ", &[]);
        assert_eq!(problems.len(), 1);
        assert!(problems[0].starts_with("hub.toml, line 1: "), "{problems:?}");
        let problem = parse("a = 1\nb = 'AccountKey=secret\n", &[], &[]).expect_err("no TOML").to_string();
        assert!(problem.starts_with("hub.toml, line 2: ") && !problem.contains("secret"), "{problem}");
    }

    #[test]
    fn drain_timeout_below_drain_duration_is_rejected() {
        let file = "[drain]\nduration = '20s'\ntimeout = '19s'";
        assert_eq!(problems(file, &[]), ["drain.timeout (hub.toml): must be greater than or equal to drain.duration"]);
        let config = parse("[drain]\nduration = '20s'\ntimeout = '20s'", &[], &[]).expect("fine");
        assert_eq!(config.drain.timeout, config.drain.duration);
    }

    #[test]
    fn path_setting_containing_a_key_is_not_quoted() {
        for key in ["-----BEGIN PRIVATE KEY-----SECRET", "SECRET\nSECRET"] {
            for name in ["NOTIFICATION_HUB__AUTH__KEYS", "NOTIFICATION_HUB__CONNECTION_TOKEN_KEY_FILE"] {
                let message = problems("", &[(name, key)]).join("\n");
                assert!(message.contains("use a path") && !message.contains("SECRET"), "{message}");
            }
        }
    }

    #[test]
    fn environment_unknown_name_is_a_warning() {
        let config = parse("", &[("NOTIFICATION_HUB__LISTEN__PUBLIK", "x"), ("PATH", "/bin")], &[]).expect("fine");
        assert_eq!(config.warnings(), ["NOTIFICATION_HUB__LISTEN__PUBLIK: unknown setting; check its name"]);
    }

    #[test]
    fn displayed_duration_parses_to_the_same_value() {
        for (input, displayed) in [("1h30m", "5400s"), ("250ms", "250ms"), ("2000000h", "7200000000s")] {
            for text in [input, displayed] {
                let config = parse("", &[("NOTIFICATION_HUB__HEARTBEAT_INTERVAL", text)], &[]).expect(text);
                let heartbeat_interval =
                    config.effective_settings().iter().find(|setting| setting.key == "heartbeat_interval");
                assert_eq!(heartbeat_interval.expect("a setting").value, displayed, "{text}");
            }
        }
    }

    #[test]
    fn list_setting_accepts_toml_array_or_comma_separated_text() {
        let config = parse("auth.keys = ['/a', '/b']", &[("NOTIFICATION_HUB__AUTH__AUDIENCES", "x, y")], &[]);
        let auth = config.expect("fine").auth;
        assert_eq!(auth.keys, [PathBuf::from("/a"), PathBuf::from("/b")]);
        assert_eq!(auth.audiences, ["x", "y"]);
    }
}
