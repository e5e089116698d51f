//! Protected fields, which a pod template of a user must not change: `validate` removes them and reports each. No I/O.

use k8s_openapi::api::core::v1::{Container, PodTemplateSpec};
use notification_hub_crds::{CONFIG_ANNOTATION, CONFIG_CHECKSUM_ANNOTATION};

use super::{
    CONFIG_DIR, CONNECTION_STRING_VARIABLE, GENERATED_KEYS_DIR, REDIS_CA_DIR, REDIS_PASSWORD_VARIABLE,
    REDIS_URL_VARIABLE, SIGNING_KEYS_DIR, TOKENS_DIR, pod_template::volume, ports,
};
use crate::model::HUB_CONTAINER;
use crate::model::labels::Labels;

/// Variables of settings that Services, probes or mounts depend on, or that the spec has fields for.
const PROTECTED_VARIABLES: [&str; 34] = [
    "NOTIFICATION_HUB__LISTEN__PUBLIC",
    "NOTIFICATION_HUB__LISTEN__INTERNAL",
    "NOTIFICATION_HUB__LISTEN__ADMIN",
    "NOTIFICATION_HUB__LISTEN__SEND_ON_PUBLIC",
    "NOTIFICATION_HUB__AUTH__AUTHORITY",
    "NOTIFICATION_HUB__AUTH__ISSUER",
    "NOTIFICATION_HUB__AUTH__AUDIENCES",
    "NOTIFICATION_HUB__AUTH__CLOCK_SKEW",
    "NOTIFICATION_HUB__AUTH__KEYS",
    "NOTIFICATION_HUB__BACKPLANE__REDIS__USERNAME",
    "NOTIFICATION_HUB__BACKPLANE__REDIS__CA_FILE",
    "NOTIFICATION_HUB__BACKPLANE__REDIS__CHANNEL_PREFIX",
    REDIS_URL_VARIABLE,
    REDIS_PASSWORD_VARIABLE,
    "NOTIFICATION_HUB__CONNECTION_TOKEN_KEY_FILE",
    "NOTIFICATION_HUB__DRAIN__DELAY",
    "NOTIFICATION_HUB__DRAIN__DURATION",
    "NOTIFICATION_HUB__DRAIN__TIMEOUT",
    "NOTIFICATION_HUB__LIMITS__MAX_CONNECTIONS",
    "NOTIFICATION_HUB__LIMITS__MAX_CONNECTIONS_PER_USER",
    "NOTIFICATION_HUB__LIMITS__MAX_CONNECTIONS_PER_IP",
    "NOTIFICATION_HUB__LIMITS__TRUSTED_PROXIES",
    "NOTIFICATION_HUB__LOG__FORMAT",
    "NOTIFICATION_HUB__LOG__LEVEL",
    "NOTIFICATION_HUB__LOG__LEVEL_FILE",
    "NOTIFICATION_HUB__CATCH_UP__ENABLED",
    "NOTIFICATION_HUB__CATCH_UP__WINDOW",
    "NOTIFICATION_HUB__SOURCE__KIND",
    "NOTIFICATION_HUB__SOURCE__AZURE_QUEUE__QUEUE_NAME",
    "NOTIFICATION_HUB__SOURCE__AZURE_QUEUE__POISON_QUEUE_NAME",
    "NOTIFICATION_HUB__SOURCE__AZURE_QUEUE__ACCOUNT_URL",
    "NOTIFICATION_HUB__SOURCE__AZURE_QUEUE__CLIENT_ID",
    CONNECTION_STRING_VARIABLE,
    "NOTIFICATION_HUB__INSTALLATION__ID",
];

/// Prefix of Bitwarden's own variables, which the hub reads as the same settings. The hub ignores the case of names.
const PROTECTED_PREFIX: &str = "GLOBALSETTINGS__";

/// Bitwarden's variable of the public listen address.
const ASPNETCORE_URLS_VARIABLE: &str = "ASPNETCORE_URLS";

/// Removes protected fields from the pod template of a user, and returns their paths.
pub(super) fn remove_protected(template: &mut PodTemplateSpec, required: &Labels) -> Vec<String> {
    let mut dropped = Vec::new();
    if let Some(metadata) = &mut template.metadata {
        if let Some(labels) = &mut metadata.labels {
            retain(labels, "metadata.labels", &mut dropped, |key, value| {
                required.get(key).is_none_or(|own| own == value)
            });
        }
        if let Some(annotations) = &mut metadata.annotations {
            let protected = [CONFIG_ANNOTATION, CONFIG_CHECKSUM_ANNOTATION];
            retain(annotations, "metadata.annotations", &mut dropped, |key, _| !protected.contains(&key));
        }
    }
    let Some(spec) = &mut template.spec else { return dropped };
    if let Some(volumes) = &mut spec.volumes {
        volumes
            .retain(|each| keep(!volume::ALL.contains(&each.name.as_str()), "spec.volumes", &each.name, &mut dropped));
    }
    for container in spec.containers.iter_mut().filter(|container| container.name == HUB_CONTAINER) {
        remove_protected_of_container(container, &mut dropped);
    }
    dropped
}

/// Removes protected fields from the container of the hub, and adds their paths to `dropped`.
fn remove_protected_of_container(container: &mut Container, dropped: &mut Vec<String>) {
    let path = |field: &str| format!("spec.containers[{HUB_CONTAINER}].{field}");
    if let Some(env) = &mut container.env {
        env.retain(|each| {
            keep(is_unprotected_variable(&each.name.to_ascii_uppercase()), &path("env"), &each.name, dropped)
        });
    }
    if let Some(sources) = &mut container.env_from {
        sources.retain(|each| {
            let prefix = each.prefix.as_deref().unwrap_or_default().to_ascii_uppercase();
            let config_map = each.config_map_ref.as_ref().map(|reference| reference.name.as_str());
            let secret = each.secret_ref.as_ref().map(|reference| reference.name.as_str());
            let name = config_map.or(secret).unwrap_or_default();
            keep(is_unprotected_prefix(&prefix), &path("envFrom"), name, dropped)
        });
    }
    if let Some(ports) = &mut container.ports {
        ports.retain(|each| {
            let is_port =
                |(name, number): &(&str, i32)| *number == each.container_port || Some(*name) == each.name.as_deref();
            keep(!ports::ALL.iter().any(is_port), &path("ports"), &each.container_port.to_string(), dropped)
        });
    }
    if let Some(mounts) = &mut container.volume_mounts {
        let protected = [CONFIG_DIR, GENERATED_KEYS_DIR, SIGNING_KEYS_DIR, TOKENS_DIR, REDIS_CA_DIR];
        mounts.retain(|each| {
            let is_free = !protected.contains(&each.mount_path.trim_end_matches('/'));
            keep(is_free, &path("volumeMounts"), &each.mount_path, dropped)
        });
    }
}

/// Returns whether a variable in upper case is not protected.
fn is_unprotected_variable(name: &str) -> bool {
    !PROTECTED_VARIABLES.contains(&name) && !name.starts_with(PROTECTED_PREFIX) && name != ASPNETCORE_URLS_VARIABLE
}

/// Returns whether no variable with this prefix is protected. The variables of an `envFrom` source are unknown before the
/// pod starts, so only the prefix decides. A source without a prefix is protected.
fn is_unprotected_prefix(prefix: &str) -> bool {
    let protected = PROTECTED_VARIABLES.iter().chain([&PROTECTED_PREFIX, &ASPNETCORE_URLS_VARIABLE]);
    !prefix.starts_with(PROTECTED_PREFIX) && !protected.into_iter().any(|name| name.starts_with(prefix))
}

/// Returns `is_free`, and adds the path of an entry to `dropped` if it is false.
fn keep(is_free: bool, list: &str, name: &str, dropped: &mut Vec<String>) -> bool {
    if !is_free {
        dropped.push(format!("{list}[{name}]"));
    }
    is_free
}

/// Retains the free entries of a map, and adds the paths of the others to `dropped`.
fn retain(map: &mut Labels, path: &str, dropped: &mut Vec<String>, is_free: impl Fn(&str, &str) -> bool) {
    map.retain(|key, value| keep(is_free(key, value), path, key, dropped));
}
