//! Every sample is a resource of this version, and nothing in it is lost on the way through the types.

use notification_hub_crds::NotificationHub;
use serde_json::Value;

#[test]
fn samples_are_understood_whole() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/samples");
    let mut seen = 0;
    for entry in std::fs::read_dir(folder).expect("the samples") {
        let path = entry.expect("an entry").path();
        let text = std::fs::read_to_string(&path).expect("a readable sample");
        let written: Value = serde_saphyr::from_str(&text).expect("YAML");
        let hub: NotificationHub = serde_json::from_value(written.clone()).expect("a NotificationHub");
        assert_eq!(serde_json::to_value(&hub).expect("JSON"), written, "{}", path.display());
        let says_how_many = hub.spec.replicas.is_some() || hub.spec.autoscaling.is_some();
        assert!(says_how_many, "{}: samples set replicas, so that /scale can be read", path.display());
        seen += 1;
    }
    assert!(seen >= 3, "only {seen} samples in {folder}");
}
