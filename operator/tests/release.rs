//! The scripts of `.github/workflows/release.yml`, which make a release from a tag.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;
use tempfile::TempDir;

use crate::chart::helm;
use crate::chart_files::without_helm_labels;

fn project() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// A copy of the files that have a version, and of the script that compares them.
struct ReleaseTree(TempDir);

/// Files of the tree.
const FILES: [&str; 4] = [".ci/notes", "Cargo.toml", "charts/notification-hub-operator/Chart.yaml", "CHANGELOG.md"];

impl ReleaseTree {
    fn new() -> ReleaseTree {
        let tree = ReleaseTree(tempfile::tempdir().expect("a folder"));
        for file in FILES {
            let copy = tree.0.path().join(file);
            fs::create_dir_all(copy.parent().expect("a folder")).expect("it can be made");
            fs::copy(project().join(file), copy).expect("it can be copied");
        }
        tree
    }

    fn edit(&self, file: &str, from: &str, to: &str) {
        let path = self.0.path().join(file);
        let text = fs::read_to_string(&path).expect("text");
        assert!(text.contains(from), "{file} has no {from:?}");
        fs::write(path, text.replacen(from, to, 1)).expect("it can be written");
    }

    fn notes(&self, tag: &str) -> Output {
        Command::new(self.0.path().join(".ci/notes")).arg(tag).output().expect("it runs")
    }
}

#[test]
fn release_tag_must_match_every_version() {
    let tag = format!("v{}", env!("CARGO_PKG_VERSION"));
    let tree = ReleaseTree::new();
    tree.edit(
        "CHANGELOG.md",
        "## [Unreleased]",
        "## [Unreleased]\n\n## [VERSION] - 2030-01-01\n\n### Added\n\n- That.\n\n## [0.0.1] - 2020-01-01",
    );
    tree.edit("CHANGELOG.md", "VERSION", env!("CARGO_PKG_VERSION"));
    let output = tree.notes(&tag);
    assert!(output.status.success(), "{output:?}");
    assert_eq!(String::from_utf8_lossy(&output.stdout), "\n### Added\n\n- That.\n\n", "only the notes of this version");

    let assert_refused = |tree: &ReleaseTree, tag: &str, file: &str| {
        let output = tree.notes(tag);
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success() && errors.contains(file), "{file}: {output:?}");
    };
    assert_refused(&tree, "v99.0.0", "Cargo.toml");
    for (file, field) in [(FILES[2], "\nversion: "), (FILES[2], "\nappVersion: "), (FILES[3], "\n## [")] {
        let tree = ReleaseTree::new();
        if field == "\n## [" {
            tree.edit(file, "## [Unreleased]", "## [Unreleased]\n\n## [99.0.0] - 2030-01-01");
        } else {
            tree.edit(file, field, &format!("{field}99"));
        }
        assert_refused(&tree, &tag, file);
    }
}

#[test]
fn package_version_between_releases_is_the_newest_everywhere() {
    let changelog = fs::read_to_string(project().join("CHANGELOG.md")).expect("the changelog");
    let headings: Vec<_> = changelog.lines().filter_map(|line| line.strip_prefix("## [")).collect();
    assert_eq!(headings.first(), Some(&"Unreleased]"));
    let newest = headings.get(1).and_then(|heading| heading.split_once(']'));
    assert!(newest.is_none_or(|(version, _)| version == env!("CARGO_PKG_VERSION")), "{newest:?}");
    let chart = fs::read_to_string(project().join(FILES[2])).expect("the chart");
    let chart: Value = serde_saphyr::from_str(&chart).expect("YAML");
    assert_eq!(chart["version"], env!("CARGO_PKG_VERSION"));
    assert_eq!(chart["appVersion"], env!("CARGO_PKG_VERSION"));
}

#[test]
fn release_artifacts_reference_images_by_digest() {
    let folder = tempfile::tempdir().expect("a folder");
    let [hub, operator] = ["a", "b"].map(|digit| format!("sha256:{}", digit.repeat(64)));
    if helm(&["version"]).is_none() {
        return;
    }
    let output = Command::new(project().join(".ci/package"))
        .args(["mirror.example:5000/somebody", &hub, &operator])
        .arg(folder.path())
        .output()
        .expect("it runs");
    assert!(output.status.success(), "{output:?}");

    let mut names: Vec<_> =
        fs::read_dir(&folder).expect("files").map(|file| file.expect("a file").file_name()).collect();
    names.sort();
    let package = concat!("notification-hub-operator-", env!("CARGO_PKG_VERSION"), ".tgz");
    assert_eq!(names, [package, "notificationhubs.yaml", "operator.yaml"]);

    // The manifests equal those of the repository except for the images.
    let manifests = fs::read_to_string(folder.path().join("operator.yaml")).expect("the manifests");
    let image = |name: &str| format!("registry.example.com/notification-hub/{name}:{}", env!("CARGO_PKG_VERSION"));
    let expected = fs::read_to_string(project().join("deploy/operator.yaml")).expect("the manifests");
    let expected = expected
        .replace(
            &image("notification-hub-operator"),
            &format!("mirror.example:5000/somebody/notification-hub-operator@{operator}"),
        )
        .replace(&image("notification-hub"), &format!("mirror.example:5000/somebody/notification-hub@{hub}"));
    assert_eq!(manifests, expected);

    // The packaged chart renders the same manifests, and images of another registry.
    let package = folder.path().join(package);
    let package = package.to_str().expect("a path");
    let rendered = |values: &[&str]| {
        let arguments = ["template", "notification-hub-operator", package, "--namespace", "notification-hub-system"];
        let output =
            helm(&[&arguments[..], &["--set", "crds.enabled=false", "--skip-tests"], values].concat()).expect("helm");
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).expect("text")
    };
    assert!(manifests.ends_with(&without_helm_labels(&rendered(&[]))));
    let other = rendered(&["--set", "image.registry=other.example"]);
    assert!(other.contains(&format!("\"other.example/somebody/notification-hub-operator@{operator}\"")), "{other}");
}
