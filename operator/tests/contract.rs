//! The contract of operator and hub: the hub parses the configuration and the keys that the operator writes.

use std::path::{Path, PathBuf};
use std::time::Duration;

use k8s_openapi::api::core::v1::{Container, EnvVar, PodSpec};
use k8s_openapi::jiff::Timestamp;
use notification_hub::auth::keys::key_files;
use notification_hub::azure_storage::Credential;
use notification_hub::config::{Config, Layers, LogFormat, SourceConfig};
use notification_hub_crds::v1alpha1::KeyAlgorithm;
use notification_hub_operator::build::{CONFIG_DIR, CONFIG_FILE, DesiredObjects};
use notification_hub_operator::keys::{self, KeyPair, KeyRing, PreviousKey, SigningKey};
use serde_json::json;

use crate::builders::{built, specs};
use crate::common::fixtures::{CONNECTION_STRING, REDIS_PASSWORD, REDIS_URL, config_text, with_redis};

fn pod(desired: &DesiredObjects) -> PodSpec {
    let template = desired.deployment.spec.as_ref().map(|spec| spec.template.clone());
    template.and_then(|template| template.spec).expect("a pod")
}

fn hub_container(pod: &PodSpec) -> &Container {
    pod.containers.iter().find(|container| container.name == "hub").expect("the hub's container")
}

/// Returns the value of a variable, as the kubelet resolves it.
fn value(variable: &EnvVar) -> String {
    let reference = variable.value_from.as_ref().and_then(|from| from.secret_key_ref.as_ref());
    match (&variable.value, reference) {
        (Some(value), None) => value.clone(),
        (None, Some(reference)) => {
            let text = match (reference.name.as_str(), reference.key.as_str()) {
                ("storage", "url" | "connectionString") => CONNECTION_STRING,
                ("redis", "url") => REDIS_URL,
                ("redis", "password") => REDIS_PASSWORD,
                other => panic!("no such entry: {other:?}"),
            };
            text.to_owned()
        }
        _ => panic!("neither a value nor a reference to a Secret: {variable:?}"),
    }
}

/// Time for the process to exit after its drain.
const EXIT_TIME: Duration = Duration::from_secs(5);

/// Returns the time between the termination of a pod and the signal to its hub.
fn pre_stop(container: &Container) -> Duration {
    let hook = container.lifecycle.as_ref().and_then(|lifecycle| lifecycle.pre_stop.as_ref());
    let sleep = hook.and_then(|hook| hook.sleep.as_ref()).expect("a sleep");
    Duration::from_secs(sleep.seconds.cast_unsigned())
}

/// Returns the configuration as the hub in the pod parses it.
pub fn config(desired: &DesiredObjects) -> Config {
    let text = config_text(&desired.deployment);
    let pod = pod(desired);
    let environment = hub_container(&pod).env.iter().flatten();
    let environment: Vec<_> = environment.map(|each| (each.name.clone(), value(each))).collect();
    let layers = Layers { file: Some((CONFIG_FILE, text)), environment: &environment, flags: &[] };
    let config = Config::parse(layers).unwrap_or_else(|problems| panic!("{problems}\n{text}"));
    assert_eq!(config.warnings(), [""; 0]);
    config
}

#[test]
fn hub_parses_every_built_configuration() {
    for (name, spec) in specs() {
        let installation = spec["installationID"].as_str().map(str::to_owned);
        let desired = built(spec.clone());
        let (pod, config) = (pod(&desired), config(&desired));
        let container = hub_container(&pod);

        let mounts = container.volume_mounts.iter().flatten().map(|mount| PathBuf::from(&mount.mount_path));
        let mounts: Vec<_> = mounts.collect();
        assert!(!config.auth.keys.is_empty() || config.auth.authority.is_some(), "{name}: no client could connect");
        assert!(config.auth.keys.iter().all(|folder| mounts.contains(folder)), "{name}: {:?}", config.auth.keys);
        assert!(mounts.contains(&PathBuf::from(CONFIG_DIR)), "{name}");

        let port = |address: &str| address.rsplit(':').next().and_then(|port| port.parse::<i32>().ok());
        let open: Vec<_> = container.ports.iter().flatten().map(|port| Some(port.container_port)).collect();
        for address in [&config.listen.public, &config.listen.admin] {
            assert!(open.contains(&port(address)), "{name}: {address}");
        }
        let is_direct = matches!(config.source, SourceConfig::Direct);
        assert_eq!(is_direct, spec["source"]["direct"].is_object(), "{name}");
        assert_eq!(open.contains(&port(&config.listen.internal)), is_direct, "{name}");
        assert_eq!(desired.internal_service.is_some(), is_direct, "{name}");
        assert_eq!(config.installation.map(|id| id.to_string()), installation, "{name}");
        let until_killed = pod.termination_grace_period_seconds.expect("a grace period").cast_unsigned();
        let end = pre_stop(container) + config.drain.delay + config.drain.timeout + EXIT_TIME;
        assert!(end <= Duration::from_secs(until_killed), "{name}: the pod would be killed during its drain");
        assert!(config.drain.delay.is_zero(), "{name}: the preStop hook already delays the drain");
        assert_eq!(config.backplane.redis.is_some(), spec["backplane"].is_object(), "{name}");
        assert_eq!(config.connection_token_key.is_some(), spec["backplane"].is_object(), "{name}");
    }
}

#[test]
fn hub_reads_auth_and_catch_up_of_spec() {
    let config = config(&built(specs()["authority"].clone()));
    assert_eq!(config.auth.authority.as_deref(), Some("http://identity:5000"));
    assert_eq!(config.auth.issuer.as_deref(), Some("https://vault.example.com"));
    assert_eq!(config.auth.audiences, ["api", "push"]);
    assert_eq!(config.auth.clock_skew, Duration::from_secs(90));
    assert!(config.auth.keys.is_empty());
    assert!(!config.catch_up.enabled);
    assert_eq!(config.catch_up.window, Duration::from_secs(30 * 60));
}

#[test]
fn hub_reads_limits_and_log_of_spec() {
    let desired = built(specs()["authority"].clone());
    let config = config(&desired);
    let limits = &config.limits;
    assert_eq!(
        (limits.max_connections, limits.max_connections_per_user, limits.max_connections_per_ip),
        (100_000, 50, 200)
    );
    let proxies: Vec<_> = limits.trusted_proxies.iter().map(ToString::to_string).collect();
    assert_eq!(proxies, ["10.0.0.0/8", "fd00::1/128"]);
    assert_eq!(config.log.format, LogFormat::Text);

    // The log level is in a mounted file, which can change while the pod runs.
    let file = config.log.level_file.expect("a file");
    assert_eq!(file.parent(), Some(Path::new(CONFIG_DIR)));
    let entry = file.file_name().and_then(|name| name.to_str()).expect("a name");
    let level = &desired.config_map.data.expect("entries")[entry];
    assert_eq!(notification_hub::config::parse_log_level(level).as_deref(), Ok("warn,notification_hub=debug"));
}

/// The CRD's pattern of log levels, and the hub's parser.
#[test]
fn hub_parses_every_log_level_that_the_crd_allows() {
    let table = ["off", "trace", "info,a::b_2=debug,c=off", "error,warn,info,debug"];
    for text in table {
        assert_eq!(notification_hub::config::parse_log_level(text).as_deref(), Ok(text));
    }
}

#[test]
fn hub_reads_queue_source_of_spec() {
    let queue = |name: &str| match config(&built(specs()[name].clone())).source {
        SourceConfig::AzureQueue(queue) => queue,
        SourceConfig::Direct => panic!("{name}: no queue"),
    };
    let plain = queue("queue");
    assert_eq!(
        (plain.queue_name.as_str(), plain.poison_queue_name.as_str()),
        ("notifications", "notifications-poison")
    );
    assert_eq!(plain.account.endpoint.as_str(), "https://vault.queue.core.windows.net/");
    assert!(matches!(&plain.account.credential, Credential::Key { account, .. } if account == "vault"));

    let by_identity = queue("queue-by-identity");
    assert_eq!((by_identity.queue_name.as_str(), by_identity.poison_queue_name.as_str()), ("pushes", "pushes-bad"));
    assert_eq!(by_identity.workers, 16, "the setting of the pod template is kept");
    let Credential::Identity { client_id: Some(id) } = by_identity.account.credential else { panic!("no identity") };
    assert_eq!(id.to_string(), "d2ea5b72-6d47-4d20-b5a3-b7a6e89d8e7c");
}

#[test]
fn hub_reads_redis_and_drain_of_spec() {
    let plain = config(&built(specs()["replicas"].clone()));
    let redis = plain.backplane.redis.expect("Redis");
    assert_eq!((&*redis.servers, redis.tls), (&[("redis.example.com".to_owned(), 6380)][..], true));
    assert_eq!((redis.username, redis.password.is_none(), redis.ca_file), (None, true, None));
    assert_eq!(plain.backplane.channel_prefix, "Notifications");
    assert_eq!(plain.drain.duration, Duration::from_secs(60));

    let desired = built(specs()["replicas-customized"].clone());
    let customized = config(&desired);
    let redis = customized.backplane.redis.expect("Redis");
    assert_eq!(redis.username.as_deref(), Some("hub"));
    assert_eq!(redis.password.as_ref().map(|password| password.reveal()), Some(REDIS_PASSWORD));
    assert_eq!(customized.backplane.channel_prefix, "Vault");
    assert_eq!(customized.backplane.max_pending_pushes, 500, "the setting of the pod template is kept");
    assert_eq!(customized.drain.duration, Duration::from_secs(90));
    assert_eq!(customized.drain.timeout, Duration::from_secs(100), "a pod template cannot make it longer");

    // Both files are mounted, each alone in a directory, from the right entries.
    let pod = pod(&desired);
    let mounted = |file: &Path| -> (String, String) {
        let folder = file.parent().expect("a folder");
        let mount = hub_container(&pod).volume_mounts.iter().flatten().find(|it| Path::new(&it.mount_path) == folder);
        let name = &mount.expect("a mount").name;
        let volume = pod.volumes.iter().flatten().find(|volume| volume.name == *name).expect("a volume");
        let secret = volume.secret.as_ref().expect("a Secret");
        let [item] = secret.items.as_deref().expect("items") else { panic!("one file: {secret:?}") };
        assert_eq!(Some(item.path.as_str()), file.file_name().and_then(|name| name.to_str()));
        (secret.secret_name.clone().expect("a name"), item.key.clone())
    };
    assert_eq!(mounted(&redis.ca_file.expect("a file")), ("redis".to_owned(), "ca.crt".to_owned()));
    let (secret, entry) = mounted(&customized.connection_token_key.expect("a file"));
    let made = desired.tokens_secret.expect("a Secret");
    assert_eq!(made.metadata.name, Some(secret));
    assert_eq!(made.data.expect("entries")[&entry].0.len(), 32);
}

/// The CRD's pattern of durations, and the hub's parser.
#[test]
fn hub_parses_every_duration_that_the_crd_allows() {
    for text in ["0s", "999999h", "5m", "1h30m", "250ms", "1m1m"] {
        let mut spec = specs()["authority"].clone();
        spec["auth"]["clockSkew"] = json!(text);
        config(&built(spec));
        let mut spec = specs()["replicas"].clone();
        spec["drain"]["duration"] = json!(text);
        let desired = built(spec);
        let until_killed = pod(&desired).termination_grace_period_seconds.expect("a grace period").cast_unsigned();
        assert!(
            Duration::from_secs(until_killed) > config(&desired).drain.timeout,
            "{text}: operator and hub parse the same duration"
        );
    }
}

fn generated_jwks() -> Vec<u8> {
    let secret = built(specs()["minimal"].clone()).jwt_secret.expect("a Secret").secret;
    secret.data.expect("entries")["jwks.json"].0.clone()
}

#[test]
fn hub_accepts_generated_keys() {
    let keys = key_files::parse(&vec![(PathBuf::from("jwks.json"), generated_jwks())]).expect("a key set").keys;
    assert_eq!(keys.len(), 1);
    assert!(keys[0].id.is_some(), "a key without id");
}

#[test]
fn hub_accepts_the_key_set_of_a_rotation() {
    let now = Timestamp::from_second(1_767_225_600).expect("a time");
    let made = |algorithm| KeyPair::generate(algorithm).expect("a pair");
    let signing = |algorithm| Some(SigningKey { pair: made(algorithm), since: now });
    let jwk = made(KeyAlgorithm::RS256).jwk().clone();
    let ring = KeyRing {
        current: signing(KeyAlgorithm::RS256),
        next: signing(KeyAlgorithm::ES256),
        previous: vec![PreviousKey { jwk, until: Some(now) }],
    };
    let entries = ring.entries();
    assert_eq!(KeyRing::from_entries(&entries, now, now), ring, "the entries round-trip");
    let keys = key_files::parse(&vec![(PathBuf::from("jwks.json"), entries["jwks.json"].0.clone())]);
    assert_eq!(keys.expect("a key set").keys.len(), 3);
}

/// Keys that the operator refuses and the hub accepts: public keys in PKCS#1, which are rare.
const REFUSED_BY_OPERATOR_ONLY: [&str; 1] = ["rsa-public-pkcs1.pem"];

#[test]
fn operator_accepts_only_keys_that_the_hub_accepts() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/keys");
    let mut entries: Vec<(String, Vec<u8>)> = std::fs::read_dir(&folder)
        .expect("the keys")
        .map(|entry| entry.expect("an entry").path())
        .map(|path| {
            (path.file_name().expect("a name").to_string_lossy().into_owned(), std::fs::read(&path).expect("a key"))
        })
        .collect();
    let text = |name: &str, text: &str| (name.to_owned(), text.as_bytes().to_vec());
    let jwk = |changes: serde_json::Value| {
        let mut set: serde_json::Value = serde_json::from_slice(&generated_jwks()).expect("JSON");
        let key = set["keys"][0].as_object_mut().expect("a key");
        key.extend(changes.as_object().expect("an object").clone());
        (format!("{changes}.jwks.json"), set.to_string().into_bytes())
    };
    let changes = [
        json!({ "use": "enc" }),
        json!({ "use": "tls" }),
        json!({ "key_ops": ["encrypt"] }),
        json!({ "key_ops": ["sign", "verify"] }),
        json!({ "alg": "RS512" }),
        json!({ "n": "AQAB" }),
        json!({ "crv": "P-384" }),
        json!({ "kty": "EC", "alg": "ES256", "crv": "P-256", "x": "AQAB", "y": "AQAB" }),
    ];
    entries.extend(changes.map(jwk));
    entries.extend([
        ("jwks.json".to_owned(), generated_jwks()),
        text("empty.jwks.json", "{\"keys\":[]}"),
        text("symmetric.jwks.json", "{\"keys\":[{\"kty\":\"oct\",\"k\":\"aGVsbG8\"}]}"),
        text("broken.jwks.json", "{"),
        text("good.secret", &"x".repeat(32)),
        text("good-with-newline.secret", &format!("{}\n", "x".repeat(32))),
        text("short.secret", "short"),
        text("short-but-for-the-newline.secret", &format!("{}\n", "x".repeat(31))),
        text("empty.pem", ""),
        text("garbage.pem", "-----BEGIN PUBLIC KEY-----\naGVsbG8=\n-----END PUBLIC KEY-----\n"),
    ]);
    for (name, content) in entries {
        let operator = keys::check_entry(&name, &content).is_ok();
        let hub = key_files::parse(&vec![(PathBuf::from(&name), content)]).is_ok();
        assert!(hub || !operator, "{name}: accepted by the operator only, so the hub would not start");
        let is_exception = REFUSED_BY_OPERATOR_ONLY.contains(&name.as_str());
        assert!(operator || !hub || is_exception, "{name}: accepted by the hub only");
    }
}

/// A hub may have an image of the first release, which rejects unknown settings. So a new setting is written only if a field
/// of the spec requests it, and this list does not grow.
#[test]
fn config_without_optional_fields_has_only_first_release_settings() {
    let first = [
        "auth.keys",
        "backplane.redis",
        "connection_token_key_file",
        "drain.duration",
        "log.format",
        "log.level_file",
        "source.kind",
    ];
    let mut spec = with_redis("redis", 2);
    spec["auth"] = json!({ "generate": { "algorithm": "ES256" } });
    let desired = built(spec);
    let written: toml::Table = config_text(&desired.deployment).parse().expect("TOML");
    let written = written.into_iter().flat_map(|(name, value)| match value {
        toml::Value::Table(table) => table.into_iter().map(|(key, _)| format!("{name}.{key}")).collect(),
        _ => vec![name],
    });
    let mut written: Vec<_> = written.collect();
    written.sort_unstable();
    assert_eq!(written, first);
}
