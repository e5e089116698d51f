//! The hub's configuration: the operator's half of the contract with the hub. Pure.
//!
//! The other half is the hub's `config` module; `tests/contract.rs` holds the two together.

use serde::Serialize;

use crate::model::ValidatedHub;

/// Where the pod finds its configuration.
pub const CONFIG_FOLDER: &str = "/etc/notification-hub";

/// The file in it, and the entry of the ConfigMap.
pub const CONFIG_FILE: &str = "config.toml";

/// Where the pod finds the generated public keys.
pub const GENERATED_KEYS_FOLDER: &str = "/var/run/notification-hub/keys/generated";

/// Where the pod finds the user's keys.
pub const SIGNING_KEYS_FOLDER: &str = "/var/run/notification-hub/keys/signing";

#[derive(Serialize)]
struct ConfigFile<'a> {
    source: Source,
    auth: Auth,
    #[serde(skip_serializing_if = "Option::is_none")]
    installation: Option<Installation<'a>>,
    log: Log,
}

#[derive(Serialize)]
struct Source {
    kind: &'static str,
}

#[derive(Serialize)]
struct Auth {
    keys: Vec<&'static str>,
}

#[derive(Serialize)]
struct Installation<'a> {
    id: &'a str,
}

#[derive(Serialize)]
struct Log {
    format: &'static str,
}

/// The text of the file.
pub(super) fn text(hub: &ValidatedHub) -> String {
    let generated = hub.generated.is_some().then_some(GENERATED_KEYS_FOLDER);
    let signing = hub.signing_keys.is_some().then_some(SIGNING_KEYS_FOLDER);
    let file = ConfigFile {
        source: Source { kind: "direct" },
        auth: Auth { keys: generated.into_iter().chain(signing).collect() },
        installation: hub.installation_id.as_deref().map(|id| Installation { id }),
        log: Log { format: "json" },
    };
    toml::to_string(&file).expect("tables of texts are TOML")
}
