//! The pod template of a hub, before the user's is merged over it. Pure.

use std::time::Duration;

use k8s_openapi::api::core::v1::{
    Capabilities, ConfigMapVolumeSource, Container, EnvVar, EnvVarSource, HTTPGetAction, KeyToPath, Lifecycle,
    LifecycleHandler, LocalObjectReference, PodSecurityContext, PodSpec, PodTemplateSpec, Probe, ResourceRequirements,
    SeccompProfile, SecretKeySelector, SecretVolumeSource, SecurityContext, SleepAction, Volume, VolumeMount,
};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use notification_hub_crds::CONFIG_CHECKSUM_ANNOTATION;

use super::{CONFIG_FOLDER, CONNECTION_STRING, GENERATED_KEYS_FOLDER, SIGNING_KEYS_FOLDER, checksum, ports};
use crate::keys::JWKS_ENTRY;
use crate::model::source::Credential;
use crate::model::{CONTAINER, ValidatedHub, labels};

/// Names of the volumes.
pub(super) mod volume {
    pub(in super::super) const CONFIG: &str = "config";
    pub(in super::super) const GENERATED_KEYS: &str = "generated-keys";
    pub(in super::super) const SIGNING_KEYS: &str = "signing-keys";
}

/// How long the pod goes on serving after its end was decided, until no endpoint leads to it any more.
const PRE_STOP: Duration = Duration::from_secs(5);

/// How long the hub then takes at most to let go of its clients: two seconds without a backplane, and its deadline,
/// which is ten seconds later.
pub const DRAIN: Duration = Duration::from_secs(12);

/// What is left for the process to end.
const MARGIN: Duration = Duration::from_secs(8);

/// The user of distroless images, which exists in no other container.
const USER: i64 = 65532;

/// The pod template.
pub(super) fn template(hub: &ValidatedHub, config: &str) -> PodTemplateSpec {
    // Key Secrets are not among them: they are mounted, and read again in place.
    let secrets: Vec<_> = match hub.source.credential() {
        Some(Credential::ConnectionString { fingerprint, .. }) => vec![fingerprint],
        Some(Credential::WorkloadIdentity { .. }) | None => Vec::new(),
    };
    let annotations = [
        (CONFIG_CHECKSUM_ANNOTATION, checksum::of(config, &secrets)),
        ("kubectl.kubernetes.io/default-container", CONTAINER.to_owned()),
    ];
    PodTemplateSpec {
        metadata: Some(ObjectMeta {
            labels: Some(labels::of_pods(&hub.name, &hub.source)),
            annotations: Some(annotations.map(|(key, value)| (key.to_owned(), value)).into()),
            ..ObjectMeta::default()
        }),
        spec: Some(spec(hub)),
    }
}

fn spec(hub: &ValidatedHub) -> PodSpec {
    let (volumes, mounts) = volumes(hub).into_iter().unzip();
    let pull_secrets = hub.pull_secrets.iter().map(|name| LocalObjectReference { name: name.clone() });
    PodSpec {
        service_account_name: Some(hub.name.to_string()),
        automount_service_account_token: Some(false),
        // The hub would take the variables of a Service called notification-hub for settings.
        enable_service_links: Some(false),
        termination_grace_period_seconds: Some((PRE_STOP + DRAIN + MARGIN).as_secs().cast_signed()),
        security_context: Some(PodSecurityContext {
            run_as_non_root: Some(true),
            run_as_user: Some(USER),
            run_as_group: Some(USER),
            seccomp_profile: Some(SeccompProfile { type_: "RuntimeDefault".to_owned(), ..SeccompProfile::default() }),
            ..PodSecurityContext::default()
        }),
        image_pull_secrets: Some(pull_secrets.collect()).filter(|list: &Vec<_>| !list.is_empty()),
        containers: vec![container(hub, mounts)],
        volumes: Some(volumes),
        ..PodSpec::default()
    }
}

fn container(hub: &ValidatedHub, mounts: Vec<VolumeMount>) -> Container {
    let quantities = |list: &[(&str, &str)]| {
        Some(list.iter().map(|(name, amount)| ((*name).to_owned(), Quantity((*amount).to_owned()))).collect())
    };
    Container {
        name: CONTAINER.to_owned(),
        image: Some(hub.image.to_string()),
        image_pull_policy: hub.pull_policy.map(|policy| policy.as_str().to_owned()),
        env: environment(hub),
        ports: Some(ports::of_container(&hub.source)),
        // No limit of CPU: throttling delays pushes and saves nothing.
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
        // An action of the kubelet's: the image has no shell.
        lifecycle: Some(Lifecycle {
            pre_stop: Some(LifecycleHandler {
                sleep: Some(SleepAction { seconds: PRE_STOP.as_secs().cast_signed() }),
                ..LifecycleHandler::default()
            }),
            ..Lifecycle::default()
        }),
        volume_mounts: Some(mounts),
        ..Container::default()
    }
}

/// What the hub must read but no ConfigMap may hold.
fn environment(hub: &ValidatedHub) -> Option<Vec<EnvVar>> {
    let Credential::ConnectionString { secret, entry, .. } = hub.source.credential()? else { return None };
    let reference = SecretKeySelector { name: secret.clone(), key: entry.clone(), optional: None };
    let value_from = Some(EnvVarSource { secret_key_ref: Some(reference), ..EnvVarSource::default() });
    Some(vec![EnvVar { name: CONNECTION_STRING.to_owned(), value_from, ..EnvVar::default() }])
}

fn probe(path: &str) -> Probe {
    Probe {
        http_get: Some(HTTPGetAction {
            path: Some(path.to_owned()),
            port: IntOrString::String("admin".to_owned()),
            ..HTTPGetAction::default()
        }),
        timeout_seconds: Some(5),
        ..Probe::default()
    }
}

/// Every volume with its mount. Directories, never single files: those are not refreshed when their source changes.
fn volumes(hub: &ValidatedHub) -> Vec<(Volume, VolumeMount)> {
    let config = Volume {
        name: volume::CONFIG.to_owned(),
        config_map: Some(ConfigMapVolumeSource { name: hub.name.to_string(), ..ConfigMapVolumeSource::default() }),
        ..Volume::default()
    };
    let secret = |name: &str, source: SecretVolumeSource| Volume {
        name: name.to_owned(),
        secret: Some(source),
        ..Volume::default()
    };
    let generated = hub.generated.is_some().then(|| {
        // The hub verifies only: the private key stays out of the pod.
        let public = KeyToPath { key: JWKS_ENTRY.to_owned(), path: JWKS_ENTRY.to_owned(), mode: None };
        let source = SecretVolumeSource {
            secret_name: Some(hub.name.jwt_secret()),
            items: Some(vec![public]),
            ..SecretVolumeSource::default()
        };
        (secret(volume::GENERATED_KEYS, source), GENERATED_KEYS_FOLDER)
    });
    let signing = hub.signing_keys.as_ref().map(|name| {
        let source = SecretVolumeSource { secret_name: Some(name.clone()), ..SecretVolumeSource::default() };
        (secret(volume::SIGNING_KEYS, source), SIGNING_KEYS_FOLDER)
    });
    let mounted = |(volume, folder): (Volume, &str)| {
        let mount = VolumeMount {
            name: volume.name.clone(),
            mount_path: folder.to_owned(),
            read_only: Some(true),
            ..VolumeMount::default()
        };
        (volume, mount)
    };
    [Some((config, CONFIG_FOLDER)), generated, signing].into_iter().flatten().map(mounted).collect()
}
