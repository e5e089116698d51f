//! The hub's configuration: the operator's half of the contract with the hub. Pure.
//!
//! The other half is the hub's `config` module; `tests/contract.rs` holds the two together.

use notification_hub_crds::v1alpha1::{CatchUp as CatchUpSpec, Limits as LimitsSpec, LogFormat};
use serde::Serialize;

use crate::keys::CONNECTION_TOKEN_ENTRY;
use crate::model::ValidatedHub;
use crate::model::backplane::Redis as RedisSettings;
use crate::model::source::{Credential, Source as SourceKind};

/// Where the pod finds its configuration.
pub const CONFIG_DIR: &str = "/etc/notification-hub";

/// The file in it.
pub const CONFIG_FILE: &str = "config.toml";

/// Another file, and the entry of the ConfigMap, which the hub reads again in place: the level of its log.
pub const LOG_LEVEL_FILE: &str = "log-level";

/// A setting that is no part of the file: the pod has it in its environment, from a Secret.
pub const CONNECTION_STRING_VARIABLE: &str = "NOTIFICATION_HUB__SOURCE__AZURE_QUEUE__CONNECTION_STRING";

/// Another.
pub const REDIS_URL_VARIABLE: &str = "NOTIFICATION_HUB__BACKPLANE__REDIS__URL";

/// Another.
pub const REDIS_PASSWORD_VARIABLE: &str = "NOTIFICATION_HUB__BACKPLANE__REDIS__PASSWORD";

/// Where the pod finds the generated public keys.
pub const GENERATED_KEYS_DIR: &str = "/var/run/notification-hub/keys/generated";

/// Where the pod finds the user's keys.
pub const SIGNING_KEYS_DIR: &str = "/var/run/notification-hub/keys/signing";

/// Where the pod finds the key that replicas share.
pub const TOKENS_DIR: &str = "/var/run/notification-hub/tokens";

/// Where the pod finds the authority of Redis' certificate.
pub const REDIS_CA_DIR: &str = "/var/run/notification-hub/redis";

/// The file in it.
pub(super) const REDIS_CA_FILE: &str = "ca.pem";

#[derive(Serialize)]
struct ConfigFile<'a> {
    // Before the tables, as TOML wants it.
    #[serde(skip_serializing_if = "Option::is_none")]
    connection_token_key_file: Option<String>,
    source: Source<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    backplane: Option<Backplane<'a>>,
    auth: Auth<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    installation: Option<Installation<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    catch_up: Option<CatchUp<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    limits: Option<Limits<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    drain: Option<Drain<'a>>,
    log: Log,
}

#[derive(Serialize)]
struct Source<'a> {
    kind: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    azure_queue: Option<AzureQueue<'a>>,
}

/// Without the connection string, which has no place in a ConfigMap.
#[derive(Serialize)]
struct AzureQueue<'a> {
    queue: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    poison_queue: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    account_url: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    client_id: Option<&'a str>,
}

#[derive(Serialize)]
struct Backplane<'a> {
    redis: Redis<'a>,
}

/// Without the address and the password, which have no place in a ConfigMap.
#[derive(Serialize)]
struct Redis<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    username: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ca_file: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    channel_prefix: Option<&'a str>,
}

#[derive(Serialize)]
struct Auth<'a> {
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
struct Installation<'a> {
    id: &'a str,
}

#[derive(Serialize)]
struct CatchUp<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    enabled: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    window: Option<&'a str>,
}

#[derive(Serialize)]
struct Limits<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    connections: Option<i32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    per_user: Option<i32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    per_address: Option<i32>,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    trusted_proxies: &'a [String],
}

#[derive(Serialize)]
struct Drain<'a> {
    duration: &'a str,
}

#[derive(Serialize)]
struct Log {
    format: LogFormat,
    level_file: String,
}

/// The text of the file.
pub(super) fn text(hub: &ValidatedHub) -> String {
    let backplane = hub.backplane.as_ref();
    let file = ConfigFile {
        connection_token_key_file: backplane.map(|_| format!("{TOKENS_DIR}/{CONNECTION_TOKEN_ENTRY}")),
        source: source(&hub.source),
        backplane: backplane.map(|backplane| Backplane { redis: redis(&backplane.redis) }),
        auth: auth(hub),
        installation: hub.installation_id.as_deref().map(|id| Installation { id }),
        catch_up: catch_up(hub),
        limits: limits(&hub.limits),
        // The pod is given as long as this takes: neither leaves it to the other.
        drain: backplane.map(|backplane| Drain { duration: &backplane.drain.text }),
        log: Log {
            format: hub.log.format.unwrap_or_default(),
            // Always, so that the first level that is said is no change of this file.
            level_file: format!("{CONFIG_DIR}/{LOG_LEVEL_FILE}"),
        },
    };
    toml::to_string(&file).expect("tables of texts are TOML")
}

fn source(source: &SourceKind) -> Source<'_> {
    let SourceKind::AzureQueue(queue) = source else { return Source { kind: "direct", azure_queue: None } };
    let (account_url, client_id) = match &queue.credential {
        Credential::ConnectionString(_) => (None, None),
        Credential::WorkloadIdentity { account_url, client_id } => {
            (Some(account_url.as_str()), Some(client_id.as_str()))
        }
    };
    let poison_queue = queue.poison_name.as_deref();
    Source {
        kind: "azure_queue",
        azure_queue: Some(AzureQueue { queue: &queue.name, poison_queue, account_url, client_id }),
    }
}

fn redis(redis: &RedisSettings) -> Redis<'_> {
    Redis {
        username: redis.username.as_deref(),
        ca_file: redis.ca.as_ref().map(|_| format!("{REDIS_CA_DIR}/{REDIS_CA_FILE}")),
        channel_prefix: redis.channel_prefix.as_deref(),
    }
}

fn auth(hub: &ValidatedHub) -> Auth<'_> {
    let generated = hub.generated.is_some().then_some(GENERATED_KEYS_DIR);
    let signing = hub.signing_keys.is_some().then_some(SIGNING_KEYS_DIR);
    Auth {
        keys: generated.into_iter().chain(signing).collect(),
        authority: hub.tokens.authority.as_deref(),
        issuer: hub.tokens.issuer.as_deref(),
        audiences: &hub.tokens.audiences,
        clock_skew: hub.tokens.clock_skew.as_deref(),
    }
}

fn catch_up(hub: &ValidatedHub) -> Option<CatchUp<'_>> {
    let CatchUpSpec { enabled, window } = &hub.catch_up;
    (enabled.is_some() || window.is_some()).then_some(CatchUp { enabled: *enabled, window: window.as_deref() })
}

fn limits(spec: &LimitsSpec) -> Option<Limits<'_>> {
    let LimitsSpec { connections, connections_per_user, connections_per_address, trusted_proxies } = spec;
    (*spec != LimitsSpec::default()).then_some(Limits {
        connections: *connections,
        per_user: *connections_per_user,
        per_address: *connections_per_address,
        trusted_proxies,
    })
}
