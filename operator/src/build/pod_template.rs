//! Builds the pod template of a hub. `user_pod_template` merges the user's template over it. No I/O.

use std::time::Duration;

use k8s_openapi::api::core::v1::{
    Capabilities, ConfigMapProjection, Container, DownwardAPIProjection, DownwardAPIVolumeFile, EnvVar, EnvVarSource,
    HTTPGetAction, KeyToPath, Lifecycle, LifecycleHandler, LocalObjectReference, ObjectFieldSelector,
    PodSecurityContext, PodSpec, PodTemplateSpec, Probe, ProjectedVolumeSource, ResourceRequirements, SeccompProfile,
    SecretKeySelector, SecretVolumeSource, SecurityContext, SleepAction, Volume, VolumeMount, VolumeProjection,
};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use notification_hub_crds::{CONFIG_ANNOTATION, CONFIG_CHECKSUM_ANNOTATION};

use super::config_file::REDIS_CA_FILE;
use super::{
    CONFIG_DIR, CONFIG_FILE, CONNECTION_STRING_VARIABLE, GENERATED_KEYS_DIR, LOG_LEVEL_FILE, REDIS_CA_DIR,
    REDIS_PASSWORD_VARIABLE, REDIS_URL_VARIABLE, SIGNING_KEYS_DIR, TOKENS_DIR, checksum, metadata, ports, spread,
};
use crate::keys::{CONNECTION_TOKEN_ENTRY, JWKS_ENTRY};
use crate::model::source::Credential;
use crate::model::{Fingerprint, HUB_CONTAINER, SecretEntry, ValidatedHub};

/// Names of the operator's volumes.
pub(super) mod volume {
    pub(in super::super) const CONFIG: &str = "config";
    pub(in super::super) const GENERATED_KEYS: &str = "generated-keys";
    pub(in super::super) const SIGNING_KEYS: &str = "signing-keys";
    pub(in super::super) const TOKENS: &str = "tokens";
    pub(in super::super) const REDIS_CA: &str = "redis-ca";

    pub(in super::super) const ALL: [&str; 5] = [CONFIG, GENERATED_KEYS, SIGNING_KEYS, TOKENS, REDIS_CA];
}

/// Duration of the preStop hook. The pod keeps serving until it is removed from the endpoints of its Services.
const PRE_STOP_DELAY: Duration = Duration::from_secs(5);

/// Default drain duration of a hub without a backplane.
const DEFAULT_DRAIN_DURATION: Duration = Duration::from_secs(2);

/// Time between the end of the drain and the reset of connections that are still open.
const DRAIN_TIMEOUT_MARGIN: Duration = Duration::from_secs(10);

/// Time for the process to exit after that.
const EXIT_MARGIN: Duration = Duration::from_secs(8);

/// Returns the pod template with the configuration file `config`.
pub(super) fn template(hub: &ValidatedHub, config: &str) -> PodTemplateSpec {
    let annotations = [
        (CONFIG_ANNOTATION, config.to_owned()),
        (CONFIG_CHECKSUM_ANNOTATION, checksum::config_checksum(config, &restart_fingerprints(hub))),
        ("kubectl.kubernetes.io/default-container", HUB_CONTAINER.to_owned()),
    ];
    PodTemplateSpec {
        metadata: Some(metadata::for_pods(hub, annotations.map(|(key, value)| (key.to_owned(), value)).into())),
        spec: Some(spec(hub)),
    }
}

/// Returns the fingerprints of the Secrets whose change needs a restart. Signing keys and the CA certificate of Redis are
/// not among them, because the hub reloads their files.
fn restart_fingerprints(hub: &ValidatedHub) -> Vec<Fingerprint> {
    let tokens = hub.backplane.as_ref().map(|backplane| Fingerprint::from_content(backplane.token_key.as_bytes()));
    secret_variables(hub).into_iter().map(|(_, entry)| entry.fingerprint.clone()).chain(tokens).collect()
}

/// Returns the pod spec.
fn spec(hub: &ValidatedHub) -> PodSpec {
    let drain = hub.backplane.as_ref().map_or(DEFAULT_DRAIN_DURATION, |backplane| backplane.drain.value);
    let grace = PRE_STOP_DELAY + drain + DRAIN_TIMEOUT_MARGIN + EXIT_MARGIN;
    let (volumes, mounts) = volumes(hub).into_iter().unzip();
    let pull_secrets = hub.pull_secrets.iter().map(|name| LocalObjectReference { name: name.clone() });
    PodSpec {
        service_account_name: Some(hub.name.to_string()),
        automount_service_account_token: Some(false),
        // The hub would parse the variables of a Service with the name `notification-hub` as settings.
        enable_service_links: Some(false),
        termination_grace_period_seconds: Some(grace.as_secs().cast_signed()),
        security_context: Some(PodSecurityContext {
            // Without a user: the image has one, and OpenShift assigns one from the range of the namespace.
            run_as_non_root: Some(true),
            seccomp_profile: Some(SeccompProfile { type_: "RuntimeDefault".to_owned(), ..SeccompProfile::default() }),
            ..PodSecurityContext::default()
        }),
        image_pull_secrets: Some(pull_secrets.collect()).filter(|list: &Vec<_>| !list.is_empty()),
        topology_spread_constraints: spread::constraints(hub),
        containers: vec![container(hub, mounts)],
        volumes: Some(volumes),
        ..PodSpec::default()
    }
}

/// Returns the container of the hub.
fn container(hub: &ValidatedHub, mounts: Vec<VolumeMount>) -> Container {
    let quantities = |list: &[(&str, &str)]| {
        Some(list.iter().map(|(name, amount)| ((*name).to_owned(), Quantity((*amount).to_owned()))).collect())
    };
    Container {
        name: HUB_CONTAINER.to_owned(),
        image: Some(hub.image.to_string()),
        image_pull_policy: hub.pull_policy.map(|policy| policy.as_str().to_owned()),
        env: environment(hub),
        ports: Some(ports::container_ports(&hub.source)),
        // No CPU limit, because throttling delays pushes.
        resources: Some(ResourceRequirements {
            requests: quantities(&[("cpu", "50m"), ("memory", "32Mi")]),
            limits: quantities(&[("memory", "512Mi")]),
            ..ResourceRequirements::default()
        }),
        security_context: Some(SecurityContext {
            allow_privilege_escalation: Some(false),
            read_only_root_filesystem: Some(true),
            capabilities: Some(Capabilities { drop: Some(vec!["ALL".to_owned()]), ..Capabilities::default() }),
            ..SecurityContext::default()
        }),
        startup_probe: Some(Probe { period_seconds: Some(1), failure_threshold: Some(60), ..probe("/healthz") }),
        readiness_probe: Some(Probe { period_seconds: Some(2), failure_threshold: Some(2), ..probe("/readyz") }),
        liveness_probe: Some(Probe { period_seconds: Some(10), failure_threshold: Some(3), ..probe("/healthz") }),
        // The kubelet sleeps, because the image has no shell.
        lifecycle: Some(Lifecycle {
            pre_stop: Some(LifecycleHandler {
                sleep: Some(SleepAction { seconds: PRE_STOP_DELAY.as_secs().cast_signed() }),
                ..LifecycleHandler::default()
            }),
            ..Lifecycle::default()
        }),
        volume_mounts: Some(mounts),
        ..Container::default()
    }
}

/// Returns the environment variables with values from Secrets.
fn secret_variables(hub: &ValidatedHub) -> Vec<(&'static str, &SecretEntry)> {
    let connection_string = match hub.source.credential() {
        Some(Credential::ConnectionString(entry)) => Some((CONNECTION_STRING_VARIABLE, entry)),
        Some(Credential::WorkloadIdentity { .. }) | None => None,
    };
    let redis = hub.backplane.as_ref().map(|backplane| &backplane.redis);
    let url = redis.map(|redis| (REDIS_URL_VARIABLE, &redis.url));
    let password = redis.and_then(|redis| Some((REDIS_PASSWORD_VARIABLE, redis.password.as_ref()?)));
    [connection_string, url, password].into_iter().flatten().collect()
}

/// Returns the environment of the container, or `None` if it is empty.
fn environment(hub: &ValidatedHub) -> Option<Vec<EnvVar>> {
    let variable = |(name, value): (&str, &SecretEntry)| {
        let reference = SecretKeySelector { name: value.secret.clone(), key: value.entry.clone(), optional: None };
        let value_from = Some(EnvVarSource { secret_key_ref: Some(reference), ..EnvVarSource::default() });
        EnvVar { name: name.to_owned(), value_from, ..EnvVar::default() }
    };
    Some(secret_variables(hub).into_iter().map(variable).collect()).filter(|list: &Vec<_>| !list.is_empty())
}

/// Returns a probe of a path on the admin port.
fn probe(path: &str) -> Probe {
    Probe {
        http_get: Some(HTTPGetAction {
            path: Some(path.to_owned()),
            port: IntOrString::String(ports::ADMIN_NAME.to_owned()),
            ..HTTPGetAction::default()
        }),
        timeout_seconds: Some(5),
        ..Probe::default()
    }
}

/// Returns the volume with the configuration file, from an annotation of the pod, and with the log level, from the
/// ConfigMap.
///
/// A pod reads the configuration of its own template. So one write of the Deployment changes the image, the environment
/// and the configuration together. With a ConfigMap, a pod that starts between two writes would read only one of them.
fn config_volume(hub: &ValidatedHub) -> Volume {
    let field_ref = ObjectFieldSelector {
        api_version: Some("v1".to_owned()),
        field_path: format!("metadata.annotations['{CONFIG_ANNOTATION}']"),
    };
    let file = DownwardAPIVolumeFile {
        path: CONFIG_FILE.to_owned(),
        field_ref: Some(field_ref),
        ..DownwardAPIVolumeFile::default()
    };
    let level = ConfigMapProjection {
        name: hub.name.to_string(),
        items: Some(vec![KeyToPath { key: LOG_LEVEL_FILE.to_owned(), path: LOG_LEVEL_FILE.to_owned(), mode: None }]),
        ..ConfigMapProjection::default()
    };
    let sources = vec![
        VolumeProjection {
            downward_api: Some(DownwardAPIProjection { items: Some(vec![file]) }),
            ..VolumeProjection::default()
        },
        VolumeProjection { config_map: Some(level), ..VolumeProjection::default() },
    ];
    Volume {
        name: volume::CONFIG.to_owned(),
        projected: Some(ProjectedVolumeSource { sources: Some(sources), ..ProjectedVolumeSource::default() }),
        ..Volume::default()
    }
}

/// Returns every volume with its mount. Mounts are directories, because the kubelet does not update mounts of single
/// files (`subPath`).
fn volumes(hub: &ValidatedHub) -> Vec<(Volume, VolumeMount)> {
    let secret = |name: &str, secret: &str, items: Option<Vec<KeyToPath>>| Volume {
        name: name.to_owned(),
        secret: Some(SecretVolumeSource {
            secret_name: Some(secret.to_owned()),
            items,
            ..SecretVolumeSource::default()
        }),
        ..Volume::default()
    };
    let single_item =
        |entry: &str, file: &str| Some(vec![KeyToPath { key: entry.to_owned(), path: file.to_owned(), mode: None }]);
    let generated = hub.generated.is_some().then(|| {
        // The hub only verifies tokens, so the private key is not mounted.
        let items = single_item(JWKS_ENTRY, JWKS_ENTRY);
        (secret(volume::GENERATED_KEYS, &hub.name.jwt_secret(), items), GENERATED_KEYS_DIR)
    });
    let signing = hub.signing_keys.as_ref().map(|name| (secret(volume::SIGNING_KEYS, name, None), SIGNING_KEYS_DIR));
    let tokens = hub.backplane.as_ref().map(|_| {
        let items = single_item(CONNECTION_TOKEN_ENTRY, CONNECTION_TOKEN_ENTRY);
        (secret(volume::TOKENS, &hub.name.tokens_secret(), items), TOKENS_DIR)
    });
    let ca = hub.backplane.as_ref().and_then(|backplane| backplane.redis.ca.as_ref());
    let ca = ca.map(|ca| (secret(volume::REDIS_CA, &ca.secret, single_item(&ca.entry, REDIS_CA_FILE)), REDIS_CA_DIR));
    let with_mount = |(volume, directory): (Volume, &str)| {
        let mount = VolumeMount {
            name: volume.name.clone(),
            mount_path: directory.to_owned(),
            read_only: Some(true),
            ..VolumeMount::default()
        };
        (volume, mount)
    };
    [Some((config_volume(hub), CONFIG_DIR)), generated, signing, tokens, ca]
        .into_iter()
        .flatten()
        .map(with_mount)
        .collect()
}
