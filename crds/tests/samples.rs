//! Tests of the samples: they survive a round trip through the types, and together they set every field.

use std::path::PathBuf;

use notification_hub_crds::NotificationHub;
use notification_hub_crds::crd::crd_json;
use notification_hub_crds::field::{Field, fields};
use serde_json::Value;

fn samples() -> Vec<(PathBuf, Value)> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/samples");
    let paths = std::fs::read_dir(folder)
        .expect("crds/samples is readable")
        .map(|entry| entry.expect("a readable directory entry").path());
    let read = |path: PathBuf| {
        let text = std::fs::read_to_string(&path).expect("a readable sample");
        (path, serde_saphyr::from_str(&text).expect("valid YAML"))
    };
    paths.map(read).collect()
}

#[test]
fn samples_round_trip_through_types_without_loss() {
    for (path, sample) in samples() {
        let hub: NotificationHub = serde_json::from_value(sample.clone()).expect("a NotificationHub");
        assert_eq!(serde_json::to_value(&hub).expect("JSON"), sample, "{}", path.display());
        let sets_pod_count = hub.spec.replicas.is_some() || hub.spec.autoscaling.is_some();
        assert!(sets_pod_count, "{}: set replicas; /scale cannot be read without it", path.display());
    }
}

/// The samples are the examples in `docs/resource.md`.
#[test]
fn samples_cover_every_spec_field() {
    let crd = crd_json().expect("a CRD");
    let fields = fields(&crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]);
    let samples = samples();
    let is_set = |field: &Field| samples.iter().any(|(_, sample)| field.is_set_in(sample));
    let spec_fields: Vec<_> = fields.iter().filter(|field| field.path.starts_with("spec.")).collect();
    let missing: Vec<_> = spec_fields.iter().filter(|field| !is_set(field)).map(|field| &field.path).collect();
    assert!(spec_fields.len() > 80 && missing.is_empty(), "no sample sets {missing:#?}");
}
