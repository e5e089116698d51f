//! Typed settings: defaults < file < environment < flags. No I/O: the caller reads the file and the environment.
//!
//! Every key is read in one place, [`Config::parse`], with its default beside it; what is not read there is unknown.

mod backplane;
mod bitwarden_env;
mod limits;
mod redis;
mod source;
mod sources;
mod values;

pub use backplane::BackplaneConfig;
pub use limits::Limits;
pub use redis::{Redis, RedisError};
pub use source::{AzureQueueConfig, SourceConfig};
pub use sources::{ConfigError, ConfigErrors, EffectiveSetting, Layers, Origin};
use values::{Address, Bytes, Level, Prefix, Url};
pub use values::{LogFormat, Setting};

use std::path::PathBuf;
use std::time::Duration;

use uuid::Uuid;

/// The configuration of a hub.
#[derive(Debug, Clone)]
pub struct Config {
    /// Where it listens.
    pub listen: Listen,
    /// How many reactors share the connections.
    pub reactors: usize,
    /// Whose tokens it takes.
    pub auth: Auth,
    /// Where its pushes come from.
    pub source: SourceConfig,
    /// What connects it with other replicas.
    pub backplane: BackplaneConfig,
    /// The file of the key that the tokens of negotiations are signed with; without it, each process has its own.
    pub connection_token_key: Option<PathBuf>,
    /// The installation whose pushes every connection gets.
    pub installation: Option<Uuid>,
    /// The protocol's times and sizes.
    pub signalr: SignalR,
    /// How often every client gets the application's Heartbeat.
    pub heartbeat: Duration,
    /// What a client that reads slowly may cost.
    pub slow_consumer: SlowConsumer,
    /// Who is let in.
    pub limits: Limits,
    /// The origins whose pages may read answers.
    pub cors: Vec<String>,
    /// How clients that missed pushes are caught up.
    pub catch_up: CatchUpConfig,
    /// How it ends.
    pub drain: Drain,
    /// What it writes.
    pub log: Log,
    shown: Vec<EffectiveSetting>,
    warnings: Vec<String>,
}

/// Addresses as `HOST:PORT`; port 0 lets the system choose.
#[derive(Debug, Clone)]
pub struct Listen {
    /// Clients.
    pub public: String,
    /// Senders.
    pub internal: String,
    /// Probes and metrics.
    pub admin: String,
    /// Whether senders may post to the public port too, as to the original.
    pub send_on_public: bool,
    /// Whether trusted proxies begin connections to the public port with a header of the PROXY protocol.
    pub proxy_protocol: bool,
}

/// Which tokens are accepted.
#[derive(Debug, Clone)]
pub struct Auth {
    /// The identity server, as a URL.
    pub authority: Option<String>,
    /// The issuer that tokens have to name; if none is set, the identity server's for its keys, and any for others.
    pub issuer: Option<String>,
    /// The audiences of which tokens have to name one; any if empty.
    pub audiences: Vec<String>,
    /// How far clocks may differ.
    pub clock_skew: Duration,
    /// Files and folders with keys.
    pub keys: Vec<PathBuf>,
}

/// Times and sizes of the protocol (`signalr.md` 2.7).
#[derive(Debug, Clone, Copy)]
pub struct SignalR {
    /// How long a client may take for its handshake.
    pub handshake_timeout: Duration,
    /// After how long without output a ping is sent.
    pub keep_alive: Duration,
    /// After how long without input a client that has pinged is gone.
    pub client_timeout: Duration,
    /// After how long without its end a message's beginning is waited for no more.
    pub message_timeout: Duration,
    /// How long a poll of a client by long polling waits for something to answer.
    pub poll_timeout: Duration,
    /// The largest message of a client, its framing included, in bytes.
    pub max_message: usize,
}

/// The bounds of a slow client (`decisions.md` 4).
#[derive(Debug, Clone, Copy)]
pub struct SlowConsumer {
    /// How many bytes may wait for it.
    pub queue: usize,
    /// How long its socket may take no byte.
    pub timeout: Duration,
}

/// What is remembered of who missed what (`decisions.md` 5).
#[derive(Debug, Clone, Copy)]
pub struct CatchUpConfig {
    /// Whether clients are caught up at all.
    pub enabled: bool,
    /// How long pushes and devices are remembered.
    pub window: Duration,
    /// Of how many users and of how many devices.
    pub users: usize,
    /// Over how long clients are told to sync after a start, and after an interruption of the backplane.
    pub spread: Duration,
}

/// How a hub lets go of its clients (`decisions.md` 7).
#[derive(Debug, Clone, Copy)]
pub struct Drain {
    /// How long it serves normally after SIGTERM.
    pub grace: Duration,
    /// Over how long the Close frames are spread.
    pub duration: Duration,
    /// When the process ends whatever is still open, from SIGTERM on, the grace not counted.
    pub deadline: Duration,
}

/// What is written to standard output.
#[derive(Debug, Clone)]
pub struct Log {
    /// A level, or directives like `info,notification_hub=debug`.
    pub level: String,
    /// A file with another one, which may change while the hub runs.
    pub level_file: Option<PathBuf>,
    /// JSON for machines, text for people.
    pub format: LogFormat,
}

/// The origins of the desktop application's pages, which are always allowed.
const ORIGINS: [&str; 2] = ["file://", "bw-desktop-file://bundle"];

/// What a file says of the log's level.
///
/// # Errors
/// What it has to be.
pub fn level(text: &str) -> Result<String, &'static str> {
    Level::read(&toml::Value::String(text.to_owned())).map(|level| level.0)
}

const SECOND: Duration = Duration::from_secs(1);

impl Config {
    /// Builds the configuration, or says everything that is wrong with it.
    pub fn parse(layers: Layers<'_>) -> Result<Config, ConfigErrors> {
        let mut layers = layers.open();
        let listen = Listen {
            public: layers.get("listen.public", Address("0.0.0.0:5000".into())).0,
            internal: layers.get("listen.internal", Address("0.0.0.0:5001".into())).0,
            admin: layers.get("listen.admin", Address("0.0.0.0:9090".into())).0,
            send_on_public: layers.get("listen.send_on_public", false),
            proxy_protocol: layers.get("listen.proxy_protocol", false),
        };
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let reactors = layers.get("reactors", cores.min(4));
        layers.check("reactors", (1..=64).contains(&reactors), "has to be from 1 to 64");
        let auth = Auth {
            authority: layers.get("auth.authority", None).map(|Url(url)| url),
            issuer: layers.get("auth.issuer", None),
            audiences: layers.get("auth.audiences", Vec::new()),
            clock_skew: layers.get("auth.clock_skew", 300 * SECOND),
            keys: layers.get("auth.keys", Vec::new()),
        };
        let source = source::read(&mut layers);
        let backplane = backplane::read(&mut layers);
        let connection_token_key = layers.get("connection_token_key_file", None);
        let installation = layers.get("installation.id", None);
        let signalr = SignalR {
            handshake_timeout: layers.positive("signalr.handshake_timeout", 15 * SECOND),
            keep_alive: layers.positive("signalr.keep_alive", 15 * SECOND),
            client_timeout: layers.positive("signalr.client_timeout", 30 * SECOND),
            message_timeout: layers.positive("signalr.message_timeout", 30 * SECOND),
            poll_timeout: layers.positive("signalr.poll_timeout", 90 * SECOND),
            max_message: layers.get("signalr.max_message", Bytes(32 * 1024)).0,
        };
        layers.check("signalr.max_message", signalr.max_message >= 128, "has to be at least 128 bytes");
        let heartbeat = layers.positive("heartbeat", 120 * SECOND);
        let slow_consumer = SlowConsumer {
            queue: layers.get("slow_consumer.queue", Bytes(64 * 1024)).0,
            timeout: layers.positive("slow_consumer.timeout", 30 * SECOND),
        };
        let limits = Limits {
            connections: layers.get("limits.connections", 0),
            per_user: layers.get("limits.per_user", 0),
            per_address: layers.get("limits.per_address", 0),
            ipv6_prefix: layers.get("limits.ipv6_prefix", Prefix(64)).0,
            trusted_proxies: layers.get("limits.trusted_proxies", Vec::new()),
            handshakes_in_flight: layers.get("limits.handshakes_in_flight", 512),
        };
        layers.check(
            "listen.proxy_protocol",
            !listen.proxy_protocol || !limits.trusted_proxies.is_empty(),
            "needs limits.trusted_proxies: name the proxies that send the header",
        );
        layers.check("limits.handshakes_in_flight", limits.handshakes_in_flight > 0, "has to be above 0");
        let cors = layers.get("cors.origins", ORIGINS.map(str::to_owned).to_vec());
        let catch_up = CatchUpConfig {
            enabled: layers.get("catch_up.enabled", true),
            window: layers.positive("catch_up.window", 600 * SECOND),
            users: layers.get("catch_up.users", 1_000_000),
            spread: layers.positive("catch_up.spread", 30 * SECOND),
        };
        layers.check("catch_up.users", catch_up.users > 0, "has to be above 0; catch_up.enabled turns it off");
        let duration = layers.get("drain.duration", if backplane.redis.is_some() { 60 * SECOND } else { 2 * SECOND });
        let drain = Drain {
            grace: layers.get("drain.grace", Duration::ZERO),
            duration,
            deadline: layers.get("drain.deadline", duration + 10 * SECOND),
        };
        layers.check("drain.deadline", drain.deadline >= drain.duration, "must not be less than drain.duration");
        let log = Log {
            level: layers.get("log.level", Level("info".into())).0,
            level_file: layers.get("log.level_file", None),
            format: layers.get("log.format", LogFormat::Auto),
        };
        let (shown, warnings) = layers.close()?;
        Ok(Config {
            listen,
            reactors,
            auth,
            source,
            backplane,
            connection_token_key,
            installation,
            signalr,
            heartbeat,
            slow_consumer,
            limits,
            cors,
            catch_up,
            drain,
            log,
            shown,
            warnings,
        })
    }

    /// Every setting as it is in force, with where it came from; secrets are masked.
    pub fn shown(&self) -> &[EffectiveSetting] {
        &self.shown
    }

    /// What is odd but no error, such as an unknown name in the environment.
    pub fn warnings(&self) -> &[String] {
        &self.warnings
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(file: &str, environment: &[(&str, &str)], flags: &[(&'static str, &str)]) -> Result<Config, ConfigErrors> {
        let own = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        let environment: Vec<_> = environment.iter().map(own).collect();
        let flags: Vec<_> = flags.iter().map(|(key, value)| (*key, (*value).to_owned())).collect();
        Config::parse(Layers { file: Some(("hub.toml", file)), environment: &environment, flags: &flags })
    }

    fn problems(file: &str, environment: &[(&str, &str)]) -> Vec<String> {
        parse(file, environment, &[]).expect_err("a problem").iter().map(ToString::to_string).collect()
    }

    #[test]
    fn config_precedence_is_flag_environment_file_default() {
        let file =
            "heartbeat = '1m'\n[listen]\npublic = '127.0.0.1:1'\ninternal = '127.0.0.1:1'\nadmin = '127.0.0.1:1'";
        let environment =
            [("NOTIFICATION_HUB__LISTEN__INTERNAL", "127.0.0.1:2"), ("NOTIFICATION_HUB__LISTEN__ADMIN", "127.0.0.1:2")];
        let config = parse(file, &environment, &[("listen.admin", "127.0.0.1:3")]).expect("fine");
        let listen = [&*config.listen.public, &*config.listen.internal, &*config.listen.admin];
        assert_eq!(listen, ["127.0.0.1:1", "127.0.0.1:2", "127.0.0.1:3"]);
        assert_eq!(config.heartbeat, Duration::from_secs(60));
        assert_eq!(config.signalr.keep_alive, Duration::from_secs(15));
        let origins: Vec<String> = config.shown()[..4].iter().map(|shown| shown.origin.to_string()).collect();
        assert_eq!(origins, ["hub.toml", "NOTIFICATION_HUB__LISTEN__INTERNAL", "--admin-listen", "default"]);
    }

    #[test]
    fn config_error_lists_every_problem_with_its_key() {
        let file = "reactors = 0\nnonsense = 1\n[auth]\nclock_skew = 'soon'\n[signalr]\nkeep_alive = '0s'";
        let environment = [("NOTIFICATION_HUB__INSTALLATION__ID", "x")];
        assert_eq!(
            problems(file, &environment),
            [
                "reactors (hub.toml): has to be from 1 to 64",
                "auth.clock_skew (hub.toml): has to be a duration like 15s, 2m, 1h30m or 250ms, not \"soon\"",
                "installation.id (NOTIFICATION_HUB__INSTALLATION__ID): has to be a UUID, not \"x\"",
                "signalr.keep_alive (hub.toml): has to be above 0",
                "nonsense (hub.toml): there is no such setting",
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
    fn drain_deadline_below_drain_duration_is_rejected() {
        let file = "[drain]\nduration = '20s'\ndeadline = '19s'";
        assert_eq!(problems(file, &[]), ["drain.deadline (hub.toml): must not be less than drain.duration"]);
        let config = parse("[drain]\nduration = '20s'\ndeadline = '20s'", &[], &[]).expect("fine");
        assert_eq!(config.drain.deadline, config.drain.duration);
    }

    #[test]
    fn path_setting_containing_a_key_is_not_quoted() {
        for key in ["-----BEGIN PRIVATE KEY-----SECRET", "SECRET\nSECRET"] {
            for name in ["NOTIFICATION_HUB__AUTH__KEYS", "NOTIFICATION_HUB__CONNECTION_TOKEN_KEY_FILE"] {
                let told = problems("", &[(name, key)]).join("\n");
                assert!(told.contains("has to be a path") && !told.contains("SECRET"), "{told}");
            }
        }
    }

    #[test]
    fn environment_unknown_name_is_a_warning() {
        let config = parse("", &[("NOTIFICATION_HUB__LISTEN__PUBLIK", "x"), ("PATH", "/bin")], &[]).expect("fine");
        assert_eq!(config.warnings(), ["NOTIFICATION_HUB__LISTEN__PUBLIK: there is no such setting"]);
    }

    #[test]
    fn duration_shown_form_parses_to_the_same_value() {
        for (given, shown) in [("1h30m", "5400s"), ("250ms", "250ms"), ("2000000h", "7200000000s")] {
            for text in [given, shown] {
                let config = parse("", &[("NOTIFICATION_HUB__HEARTBEAT", text)], &[]).expect(text);
                let heartbeat = config.shown().iter().find(|setting| setting.key == "heartbeat");
                assert_eq!(heartbeat.expect("a setting").value, shown, "{text}");
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
