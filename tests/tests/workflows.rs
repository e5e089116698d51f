//! The CI workflows: the files, targets, images and versions that they name exist in the repository. actionlint checks their
//! syntax (`make lint`).

use std::collections::BTreeSet;
use std::os::unix::fs::PermissionsExt;

use anyhow::{Context, Result, ensure};
use notification_hub_tests::pages::{read, root};
use serde_json::Value;

/// Returns the workflows with their names.
fn workflows() -> Result<Vec<(String, Value)>> {
    let mut workflows = Vec::new();
    for entry in std::fs::read_dir(root().join(".github/workflows"))? {
        let name = format!(".github/workflows/{}", entry?.file_name().display());
        let workflow = serde_saphyr::from_str(&read(&name)?).with_context(|| name.clone())?;
        workflows.push((name, workflow));
    }
    ensure!(workflows.len() > 2, "{workflows:?}");
    Ok(workflows)
}

/// Returns the jobs of a workflow.
fn jobs(workflow: &Value) -> impl Iterator<Item = (&String, &Value)> {
    workflow["jobs"].as_object().into_iter().flatten()
}

/// Returns the steps of all jobs of a workflow.
fn steps(workflow: &Value) -> impl Iterator<Item = &Value> {
    jobs(workflow).filter_map(|(_, job)| job["steps"].as_array()).flatten()
}

/// Returns the make targets and the scripts of this repository in a line of a shell script.
fn named(line: &str) -> (Vec<&str>, Vec<&str>) {
    let words: Vec<&str> = line.split_whitespace().collect();
    let targets = words.windows(2).filter(|pair| pair[0] == "make").map(|pair| pair[1]).collect();
    let is_script = |word: &&str| [".ci/", "deploy/", "docs/", "tests/"].iter().any(|folder| word.starts_with(folder));
    (targets, words.iter().copied().filter(is_script).collect())
}

#[test]
fn workflows_run_only_existing_targets_and_scripts() -> Result<()> {
    let makefile = read("Makefile")?;
    let mut seen = BTreeSet::new();
    let mut lines: Vec<(String, String)> = Vec::new();
    for (name, workflow) in workflows()? {
        let scripts = steps(&workflow).filter_map(|step| step["run"].as_str());
        lines.extend(scripts.flat_map(str::lines).map(|line| (name.clone(), line.to_owned())));
        for called in jobs(&workflow).filter_map(|(_, job)| job["uses"].as_str()?.strip_prefix("./")) {
            let called: Value = serde_saphyr::from_str(&read(called)?)?;
            ensure!(called["on"].get("workflow_call").is_some(), "{name} calls a workflow without workflow_call");
        }
    }
    lines.extend(read(".ci/run")?.lines().map(|line| (".ci/run".to_owned(), line.to_owned())));
    for (name, line) in &lines {
        let (targets, scripts) = named(line);
        for target in targets {
            ensure!(makefile.contains(&format!("\n{target}: ")), "{name}: there is no make {target}");
            seen.insert(target.to_owned());
        }
        for script in scripts {
            let file = std::fs::metadata(root().join(script)).with_context(|| format!("{name}: {script}"))?;
            ensure!(file.permissions().mode() & 0o111 != 0, "{name}: {script} is no program");
            seen.insert(script.to_owned());
        }
    }
    let expected =
        ["fuzz", "fuzz-long", "lint", "test", ".ci/run", ".ci/notes", ".ci/package", "deploy/debian/build.sh"]
            .map(str::to_owned);
    ensure!(expected.iter().all(|name| seen.contains(name)), "only {seen:?}");
    Ok(())
}

#[test]
fn workflows_build_exactly_the_chart_images() -> Result<()> {
    let dockerfile = read("Dockerfile")?;
    let mut built = BTreeSet::new();
    for (name, workflow) in workflows()? {
        for step in steps(&workflow) {
            let Some(target) = step["with"]["target"].as_str() else { continue };
            ensure!(dockerfile.contains(&format!(" AS {target}\n")), "{name}: the Dockerfile has no {target}");
            let outputs = step["with"]["outputs"].as_str().context("no outputs")?;
            let image = outputs.split([',', '/']).find(|part| part.starts_with("notification-hub"));
            built.insert(image.context("no image")?.to_owned());
        }
    }
    // The chart names the same images.
    let values: Value = serde_saphyr::from_str(&read("charts/notification-hub-operator/values.yaml")?)?;
    let last = |value: &Value| value["repository"].as_str().and_then(|it| it.rsplit('/').next()).map(str::to_owned);
    let expected: Option<BTreeSet<_>> = ["image", "hubImage"].iter().map(|image| last(&values[*image])).collect();
    ensure!(Some(&built) == expected.as_ref(), "built are {built:?}, and the chart names {expected:?}");
    Ok(())
}

#[test]
fn workflow_jobs_have_timeouts_and_restricted_permissions() -> Result<()> {
    for (name, workflow) in workflows()? {
        ensure!(workflow["permissions"].is_object(), "{name}: rights are not restricted");
        ensure!(!workflow["permissions"].to_string().contains("write"), "{name}: every job may write");
        for (job, it) in jobs(&workflow).filter(|(_, job)| job.get("uses").is_none()) {
            ensure!(it["timeout-minutes"].is_u64(), "{name}: {job} may take hours");
        }
    }
    Ok(())
}

#[test]
fn workflow_helm_version_equals_the_tested_version() -> Result<()> {
    let components = read("tests/cluster/components.sh")?;
    let helm = components.split_whitespace().find_map(|word| word.strip_prefix("helm=")).context("no helm")?;
    let mut found = 0;
    for (name, workflow) in workflows()? {
        let is_helm = |step: &&Value| step["uses"].as_str().is_some_and(|uses| uses.contains("/setup-helm@"));
        for step in steps(&workflow).filter(is_helm) {
            ensure!(step["with"]["version"] == format!("v{helm}"), "{name}: the tests' Helm is {helm}");
            found += 1;
        }
    }
    ensure!(found == 1, "Helm is set up {found} times");
    Ok(())
}
