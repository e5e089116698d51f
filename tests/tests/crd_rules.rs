//! What the API server says to specs: every case of `crds/tests/rules.yaml`, in a real one.

use anyhow::{Result, ensure};
use notification_hub_tests::cluster::folder;
use notification_hub_tests::namespace;
use serde::Deserialize;
use serde_json::Value;

#[derive(Deserialize)]
struct Case {
    name: String,
    /// A part of the message that refuses it; none if it is accepted.
    refused: Option<String>,
    manifest: Value,
}

#[test]
fn the_api_server_says_what_the_table_says() {
    namespace::with("rules", |namespace| {
        let text = std::fs::read_to_string(folder().join("../crds/tests/rules.yaml"))?;
        let cases: Vec<Case> = serde_saphyr::from_str(&text)?;
        ensure!(!cases.is_empty(), "no case in the table");
        let apply = |case: &Case| -> Result<String> {
            let arguments = ["-n", &namespace.name, "apply", "--dry-run=server", "-f", "-"];
            namespace.cluster.kubectl_with(&arguments, &case.manifest.to_string())
        };
        let wrong: Vec<String> = cases
            .iter()
            .filter_map(|case| match (apply(case), &case.refused) {
                (Ok(_), None) => None,
                (Ok(_), Some(expected)) => Some(format!("{}: accepted, not refused with {expected:?}", case.name)),
                (Err(error), Some(expected)) if format!("{error:#}").contains(expected.as_str()) => None,
                (Err(error), expected) => Some(format!("{}: expected {expected:?}, got {error:#}", case.name)),
            })
            .collect();
        ensure!(wrong.is_empty(), "{} of {} cases:\n{}", wrong.len(), cases.len(), wrong.join("\n"));
        eprintln!("{} cases", cases.len());
        Ok(())
    });
}
