//! The samples are valid hubs, and the defaults in the descriptions of the CRD are true.

use notification_hub_crds::crd::crd_json;
use notification_hub_crds::field::{Field, fields};
use notification_hub_crds::{CONFIG_ANNOTATION, CONFIG_CHECKSUM_ANNOTATION};
use notification_hub_operator::build::build;
use notification_hub_operator::keys::RotationPlan;
use serde_json::Value;

use crate::builders::{built, documents, validated};
use crate::contract::config;

fn samples() -> Vec<(String, Value)> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../crds/samples");
    let paths = std::fs::read_dir(folder).expect("the samples").map(|entry| entry.expect("an entry").path());
    let read = |path: std::path::PathBuf| {
        let text = std::fs::read_to_string(&path).expect("a readable sample");
        (path.display().to_string(), serde_saphyr::from_str(&text).expect("YAML"))
    };
    paths.map(read).collect()
}

#[test]
fn samples_are_built_and_parsed_by_the_hub() {
    for (name, sample) in samples() {
        let config = config(&built(sample["spec"].clone()));
        assert_eq!(config.backplane.redis.is_some(), sample["spec"]["backplane"].is_object(), "{name}");
    }
}

/// Result of a spec: the plan of the keys, the objects, and all settings of the hub, including its own defaults.
#[derive(PartialEq)]
struct Outcome {
    keys: Option<RotationPlan>,
    objects: String,
    settings: Vec<(&'static str, String)>,
}

fn outcome(resource: &Value) -> Outcome {
    let hub = validated(resource["spec"].clone());
    let mut desired = build(&hub).expect("objects");
    let settings =
        config(&desired).effective_settings().iter().map(|setting| (setting.key, setting.value.clone())).collect();
    let pod = desired.deployment.spec.as_mut().and_then(|spec| spec.template.metadata.as_mut()).expect("a pod");
    for annotation in [CONFIG_ANNOTATION, CONFIG_CHECKSUM_ANNOTATION] {
        // The settings have its content.
        pod.annotations.as_mut().and_then(|all| all.remove(annotation)).expect("the configuration, or its digest");
    }
    Outcome { keys: hub.generated, objects: documents(desired), settings }
}

/// Returns the default of a description, or `None` if it has none or describes it in words.
fn documented_default(field: &Field) -> Option<Value> {
    let default = field.default()?;
    let (value, _) = default.strip_prefix('`')?.split_once('`')?;
    let is_text = matches!(field.schema["type"].as_str(), Some("string") | None);
    Some(if is_text { value.into() } else { serde_json::from_str(value).expect("a value of its type") })
}

#[test]
fn documented_defaults_set_explicitly_change_nothing() {
    let crd = crd_json().expect("a CRD");
    let samples = samples();
    let mut compared = Vec::new();
    for field in fields(&crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]) {
        let Some(default) = documented_default(&field) else { continue };
        let pointer = format!("/{}", field.path.replace('.', "/"));
        let (parent, name) = pointer.rsplit_once('/').expect("a parent");
        let another = |sample: &&Value| sample.pointer(&pointer).is_some_and(|value| *value != default);
        let sample = samples.iter().map(|(_, sample)| sample).find(another);
        let sample = sample.unwrap_or_else(|| panic!("no sample sets {} to something else", field.path));
        let with = |value: Option<Value>| {
            let mut resource = sample.clone();
            let parent = resource.pointer_mut(parent).and_then(Value::as_object_mut).expect("an object");
            match value {
                Some(value) => parent.insert(name.to_owned(), value),
                None => parent.remove(name),
            };
            outcome(&resource)
        };
        let without = with(None);
        assert!(with(Some(default)) == without, "{}: the default is wrong", field.path);
        assert!(outcome(sample) != without, "{}: the sample does not depend on the field", field.path);
        compared.push(field.path);
    }
    assert!(compared.len() >= 14, "only {compared:?}");
}
