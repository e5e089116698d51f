//! Builds the configuration file of the hub. No I/O.
//!
//! The hub's `config` module parses it; `operator/tests/contract.rs` checks both together.

use notification_hub_crds::v1alpha1::{CatchUp, Limits, LogFormat};
use serde::Serialize;

use crate::keys::CONNECTION_TOKEN_ENTRY;
use crate::model::ValidatedHub;
use crate::model::backplane::Redis;
use crate::model::source::{Credential, Source};

/// Directory of the configuration file in the pod.
pub const CONFIG_DIR: &str = "/etc/notification-hub";

/// Name of the configuration file in [`CONFIG_DIR`].
pub const CONFIG_FILE: &str = "config.toml";

/// Name of the log level's file in [`CONFIG_DIR`], and of its entry in the ConfigMap. The hub reloads it without a restart.
pub const LOG_LEVEL_FILE: &str = "log-level";

/// Environment variable of the connection string. Its value comes from a Secret.
pub const CONNECTION_STRING_VARIABLE: &str = "NOTIFICATION_HUB__SOURCE__AZURE_QUEUE__CONNECTION_STRING";

/// Environment variable of the URL of Redis. Its value comes from a Secret.
pub const REDIS_URL_VARIABLE: &str = "NOTIFICATION_HUB__BACKPLANE__REDIS__URL";

/// Environment variable of the password of Redis. Its value comes from a Secret.
pub const REDIS_PASSWORD_VARIABLE: &str = "NOTIFICATION_HUB__BACKPLANE__REDIS__PASSWORD";

/// Directory of the generated public keys in the pod.
pub const GENERATED_KEYS_DIR: &str = "/var/run/notification-hub/keys/generated";

/// Directory of the user's keys in the pod.
pub const SIGNING_KEYS_DIR: &str = "/var/run/notification-hub/keys/signing";

/// Directory of the connection token key in the pod.
pub const TOKENS_DIR: &str = "/var/run/notification-hub/tokens";

/// Directory of the CA certificate of Redis in the pod.
pub const REDIS_CA_DIR: &str = "/var/run/notification-hub/redis";

/// Name of the CA certificate in [`REDIS_CA_DIR`].
pub(super) const REDIS_CA_FILE: &str = "ca.pem";

#[derive(Serialize)]
struct ConfigFile<'a> {
    // TOML requires values before tables.
    #[serde(skip_serializing_if = "Option::is_none")]
    connection_token_key_file: Option<String>,
    source: SourceTable<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    backplane: Option<BackplaneTable<'a>>,
    auth: AuthTable<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    installation: Option<InstallationTable<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    catch_up: Option<CatchUpTable<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    limits: Option<LimitsTable<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    drain: Option<DrainTable<'a>>,
    log: LogTable,
}

#[derive(Serialize)]
struct SourceTable<'a> {
    kind: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    azure_queue: Option<AzureQueueTable<'a>>,
}

/// Table without the connection string, which is an environment variable from a Secret.
#[derive(Serialize)]
struct AzureQueueTable<'a> {
    queue_name: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    poison_queue_name: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    account_url: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    client_id: Option<&'a str>,
}

#[derive(Serialize)]
struct BackplaneTable<'a> {
    redis: RedisTable<'a>,
}

/// Table without the URL and the password, which are environment variables from Secrets.
#[derive(Serialize)]
struct RedisTable<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    username: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ca_file: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    channel_prefix: Option<&'a str>,
}

#[derive(Serialize)]
struct AuthTable<'a> {
    keys: Vec<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    authority: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    issuer: Option<&'a str>,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    audiences: &'a [String],
    #[serde(skip_serializing_if = "Option::is_none")]
    clock_skew: Option<&'a str>,
}

#[derive(Serialize)]
struct InstallationTable<'a> {
    id: &'a str,
}

#[derive(Serialize)]
struct CatchUpTable<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    enabled: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    window: Option<&'a str>,
}

#[derive(Serialize)]
struct LimitsTable<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    max_connections: Option<i32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_connections_per_user: Option<i32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_connections_per_ip: Option<i32>,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    trusted_proxies: &'a [String],
}

#[derive(Serialize)]
struct DrainTable<'a> {
    duration: &'a str,
}

#[derive(Serialize)]
struct LogTable {
    format: LogFormat,
    level_file: String,
}

/// Returns the text of the configuration file.
pub(super) fn text(hub: &ValidatedHub) -> String {
    let backplane = hub.backplane.as_ref();
    let file = ConfigFile {
        connection_token_key_file: backplane.map(|_| format!("{TOKENS_DIR}/{CONNECTION_TOKEN_ENTRY}")),
        source: source(&hub.source),
        backplane: backplane.map(|backplane| BackplaneTable { redis: redis(&backplane.redis) }),
        auth: auth(hub),
        installation: hub.installation_id.as_deref().map(|id| InstallationTable { id }),
        catch_up: catch_up(hub),
        limits: limits(&hub.limits),
        // Always written with a backplane, because the termination grace period of the pod depends on it.
        drain: backplane.map(|backplane| DrainTable { duration: &backplane.drain.text }),
        log: LogTable {
            format: hub.log.format.unwrap_or_default(),
            // Always written, so that setting the first level does not change this file.
            level_file: format!("{CONFIG_DIR}/{LOG_LEVEL_FILE}"),
        },
    };
    toml::to_string(&file).expect("the tables are valid TOML")
}

/// Returns the table of the source.
fn source(source: &Source) -> SourceTable<'_> {
    let Source::AzureQueue(queue) = source else { return SourceTable { kind: "direct", azure_queue: None } };
    let (account_url, client_id) = match &queue.credential {
        Credential::ConnectionString(_) => (None, None),
        Credential::WorkloadIdentity { account_url, client_id } => {
            (Some(account_url.as_str()), Some(client_id.as_str()))
        }
    };
    let poison_queue_name = queue.poison_name.as_deref();
    SourceTable {
        kind: "azure_queue",
        azure_queue: Some(AzureQueueTable { queue_name: &queue.name, poison_queue_name, account_url, client_id }),
    }
}

/// Returns the table of Redis.
fn redis(redis: &Redis) -> RedisTable<'_> {
    RedisTable {
        username: redis.username.as_deref(),
        ca_file: redis.ca.as_ref().map(|_| format!("{REDIS_CA_DIR}/{REDIS_CA_FILE}")),
        channel_prefix: redis.channel_prefix.as_deref(),
    }
}

/// Returns the table of the token settings.
fn auth(hub: &ValidatedHub) -> AuthTable<'_> {
    let generated = hub.generated.is_some().then_some(GENERATED_KEYS_DIR);
    let signing = hub.signing_keys.is_some().then_some(SIGNING_KEYS_DIR);
    AuthTable {
        keys: generated.into_iter().chain(signing).collect(),
        authority: hub.tokens.authority.as_deref(),
        issuer: hub.tokens.issuer.as_deref(),
        audiences: &hub.tokens.audiences,
        clock_skew: hub.tokens.clock_skew.as_deref(),
    }
}

/// Returns the table of catch-up, or `None` if the spec sets nothing.
fn catch_up(hub: &ValidatedHub) -> Option<CatchUpTable<'_>> {
    let CatchUp { enabled, window } = &hub.catch_up;
    (enabled.is_some() || window.is_some()).then_some(CatchUpTable { enabled: *enabled, window: window.as_deref() })
}

/// Returns the table of limits, or `None` if the spec sets nothing.
fn limits(spec: &Limits) -> Option<LimitsTable<'_>> {
    let Limits { max_connections, max_connections_per_user, max_connections_per_ip, trusted_proxies } = spec;
    (*spec != Limits::default()).then_some(LimitsTable {
        max_connections: *max_connections,
        max_connections_per_user: *max_connections_per_user,
        max_connections_per_ip: *max_connections_per_ip,
        trusted_proxies,
    })
}
