//! Samples, and the fragments of them that are examples on the page.

use std::path::Path;

use notification_hub_crds::field::Field;
use serde_json::Value;

/// File of `crds/samples`.
pub(crate) struct Sample {
    /// File name.
    pub(super) name: String,
    /// Text of the file.
    pub(super) text: String,
    /// Parsed text.
    pub(super) resource: Value,
}

/// Returns all samples, sorted by name.
pub(crate) fn samples() -> Vec<Sample> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("samples");
    let entries = std::fs::read_dir(folder).expect("crds/samples is readable");
    let mut samples: Vec<_> =
        entries.map(|entry| Sample::read(&entry.expect("a readable directory entry").path())).collect();
    samples.sort_by(|one, other| one.name.cmp(&other.name));
    samples
}

impl Sample {
    fn read(path: &Path) -> Sample {
        let text = std::fs::read_to_string(path).expect("a readable sample");
        let resource = serde_saphyr::from_str(&text).expect("valid YAML");
        let name = path.file_name().expect("a file name").to_string_lossy().into_owned();
        Sample { name, text, resource }
    }

    /// Returns a Markdown link from the page to the sample.
    pub(super) fn link(&self) -> String {
        format!("[`crds/samples/{0}`](../crds/samples/{0})", self.name)
    }

    /// Returns the lines that set a field of the spec, including nested fields.
    pub(super) fn fragment(&self, top: &Field) -> String {
        let name = top.path.trim_start_matches("spec.");
        let start = format!("  {name}:");
        let mut lines = self.text.lines().skip_while(|line| !line.starts_with(&start));
        let first = lines.next().expect("a line that sets the field");
        let rest = lines.take_while(|line| line.starts_with("   "));
        let whole = ["spec:", first].into_iter().chain(rest);
        whole.map(|line| format!("{line}\n")).collect()
    }
}
