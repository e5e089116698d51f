//! The operator's and the hub's halves of their contract: what the operator writes, the hub reads as it was meant.

use std::path::{Path, PathBuf};

use k8s_openapi::api::core::v1::{Container, PodSpec};
use notification_hub::auth::key_files;
use notification_hub::config::{Config, Layers};
use notification_hub_operator::build::{CONFIG_FILE, CONFIG_FOLDER, DRAIN, Desired};
use notification_hub_operator::keys;

use crate::builders::{built, specs};

fn pod(desired: &Desired) -> PodSpec {
    let template = desired.deployment.spec.as_ref().map(|spec| spec.template.clone());
    template.and_then(|template| template.spec).expect("a pod")
}

fn hub_container(pod: &PodSpec) -> &Container {
    pod.containers.iter().find(|container| container.name == "hub").expect("the hub's container")
}

/// The configuration as the hub in this pod reads it.
fn config(desired: &Desired) -> Config {
    let text = desired.config_map.data.as_ref().and_then(|data| data.get(CONFIG_FILE)).expect("the file");
    let pod = pod(desired);
    let environment = hub_container(&pod).env.iter().flatten();
    let environment: Vec<_> =
        environment.map(|each| (each.name.clone(), each.value.clone().expect("a plain value"))).collect();
    let layers = Layers { file: Some((CONFIG_FILE, text)), environment: &environment, flags: &[] };
    let config = Config::parse(layers).unwrap_or_else(|problems| panic!("{problems}\n{text}"));
    assert_eq!(config.warnings(), [""; 0]);
    config
}

#[test]
fn the_hub_understands_every_file() {
    for (name, spec) in specs() {
        let installation = spec["installationId"].as_str().map(str::to_owned);
        let desired = built(spec);
        let (pod, config) = (pod(&desired), config(&desired));
        let container = hub_container(&pod);

        let mounts = container.volume_mounts.iter().flatten().map(|mount| PathBuf::from(&mount.mount_path));
        let mounts: Vec<_> = mounts.collect();
        assert!(!config.auth.keys.is_empty(), "{name}: nobody could connect");
        assert!(config.auth.keys.iter().all(|folder| mounts.contains(folder)), "{name}: {:?}", config.auth.keys);
        assert!(mounts.contains(&PathBuf::from(CONFIG_FOLDER)), "{name}");

        let port = |address: &str| address.rsplit(':').next().and_then(|port| port.parse::<i32>().ok());
        let open: Vec<_> = container.ports.iter().flatten().map(|port| Some(port.container_port)).collect();
        for address in [&config.listen.public, &config.listen.internal, &config.listen.admin] {
            assert!(open.contains(&port(address)), "{name}: {address}");
        }
        assert_eq!(config.installation.map(|id| id.to_string()), installation, "{name}");
        assert!(config.drain.deadline <= DRAIN, "{name}: the pod would be killed while it drains");
        assert!(config.drain.grace.is_zero(), "{name}: the preStop hook has waited already");
    }
}

fn generated_jwks() -> Vec<u8> {
    let secret = built(specs()["smallest"].clone()).jwt_secret.expect("a Secret");
    secret.data.expect("entries")["jwks.json"].0.clone()
}

#[test]
fn the_hub_takes_the_generated_keys() {
    let keys = key_files::parse(&vec![(PathBuf::from("jwks.json"), generated_jwks())]).expect("a key set");
    assert_eq!(keys.len(), 1);
    assert!(keys[0].id.is_some(), "a key without id");
}

/// What the operator refuses though the hub reads it: a form that hardly anybody writes (PKCS#1 of a public key).
const STRICTER: [&str; 1] = ["rsa-public-pkcs1.pem"];

#[test]
fn hub_and_operator_judge_keys_alike() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/keys");
    let mut entries: Vec<(String, Vec<u8>)> = std::fs::read_dir(&folder)
        .expect("the keys")
        .map(|entry| entry.expect("an entry").path())
        .map(|path| {
            (path.file_name().expect("a name").to_string_lossy().into_owned(), std::fs::read(&path).expect("a key"))
        })
        .collect();
    let text = |name: &str, text: &str| (name.to_owned(), text.as_bytes().to_vec());
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
        let operator = keys::check(&name, &content).is_ok();
        let hub = key_files::parse(&vec![(PathBuf::from(&name), content)]).is_ok();
        assert!(hub || !operator, "{name}: the operator takes it, the hub would not start");
        let stricter = STRICTER.contains(&name.as_str());
        assert!(operator || !hub || stricter, "{name}: the hub takes it, the operator does not");
    }
}
