//! The samples, and the parts of them that are examples.

use std::path::Path;

use notification_hub_crds::field::Field;
use serde_json::Value;

/// A file of `crds/samples`.
pub(crate) struct Sample {
    /// Its name in that folder.
    pub(super) name: String,
    /// What is written.
    pub(super) text: String,
    /// The same, read.
    pub(super) resource: Value,
}

/// All of them, by name.
pub(crate) fn samples() -> Vec<Sample> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("samples");
    let entries = std::fs::read_dir(folder).expect("the samples");
    let mut samples: Vec<_> = entries.map(|entry| Sample::read(&entry.expect("an entry").path())).collect();
    samples.sort_by(|one, other| one.name.cmp(&other.name));
    samples
}

impl Sample {
    fn read(path: &Path) -> Sample {
        let text = std::fs::read_to_string(path).expect("a readable sample");
        let resource = serde_saphyr::from_str(&text).expect("YAML");
        let name = path.file_name().expect("a name").to_string_lossy().into_owned();
        Sample { name, text, resource }
    }

    /// A link to it from the page.
    pub(super) fn link(&self) -> String {
        format!("[`crds/samples/{0}`](../crds/samples/{0})", self.name)
    }

    /// The lines that set a field of the spec and those in it.
    pub(super) fn fragment(&self, top: &Field) -> String {
        let name = top.path.trim_start_matches("spec.");
        let begins = format!("  {name}:");
        let mut lines = self.text.lines().skip_while(|line| !line.starts_with(&begins));
        let first = lines.next().expect("a line that sets it");
        let rest = lines.take_while(|line| line.starts_with("   "));
        let whole = ["spec:", first].into_iter().chain(rest);
        whole.map(|line| format!("{line}\n")).collect()
    }
}
