//! Every sample is a resource of this version, nothing in it is lost on the way through the types, and together they
//! show every field.

use std::path::PathBuf;

use notification_hub_crds::NotificationHub;
use notification_hub_crds::crd::crd_json;
use notification_hub_crds::field::{Field, fields};
use serde_json::Value;

fn samples() -> Vec<(PathBuf, Value)> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/samples");
    let paths = std::fs::read_dir(folder).expect("the samples").map(|entry| entry.expect("an entry").path());
    let read = |path: PathBuf| {
        let text = std::fs::read_to_string(&path).expect("a readable sample");
        (path, serde_saphyr::from_str(&text).expect("YAML"))
    };
    paths.map(read).collect()
}

#[test]
fn samples_round_trip_through_types_without_loss() {
    for (path, written) in samples() {
        let hub: NotificationHub = serde_json::from_value(written.clone()).expect("a NotificationHub");
        assert_eq!(serde_json::to_value(&hub).expect("JSON"), written, "{}", path.display());
        let says_how_many = hub.spec.replicas.is_some() || hub.spec.autoscaling.is_some();
        assert!(says_how_many, "{}: samples set replicas, so that /scale can be read", path.display());
    }
}

/// They are the examples of `docs/resource.md`.
#[test]
fn samples_cover_every_spec_field() {
    let crd = crd_json().expect("a definition");
    let fields = fields(&crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]);
    let samples = samples();
    let is_shown = |field: &Field| samples.iter().any(|(_, sample)| field.is_set_in(sample));
    let of_the_spec: Vec<_> = fields.iter().filter(|field| field.path.starts_with("spec.")).collect();
    let missing: Vec<_> = of_the_spec.iter().filter(|field| !is_shown(field)).map(|field| &field.path).collect();
    assert!(of_the_spec.len() > 80 && missing.is_empty(), "no sample sets {missing:#?}");
}
