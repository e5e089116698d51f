//! The operator, installed from the chart as a user would.

use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use anyhow::{Context, Result, anyhow, bail};

use crate::cluster::{Cluster, folder};

/// The release, and the operator's Deployment.
pub const RELEASE: &str = "notification-hub-operator";

/// Where the operator runs.
pub const NAMESPACE: &str = "notification-hub-system";

/// Options of Helm's that have it wait until the operator is ready.
pub const WAIT: [&str; 3] = ["--wait", "--timeout", "120s"];

/// Installs the chart once in this process; a second process finds the same release and leaves it as it is.
pub fn operator(cluster: &Cluster) -> Result<()> {
    static INSTALLED: OnceLock<Result<(), String>> = OnceLock::new();
    let installed = INSTALLED.get_or_init(|| install(cluster).map_err(|error| format!("{error:#}")));
    installed.clone().map_err(|error| anyhow!(error))
}

fn install(cluster: &Cluster) -> Result<()> {
    release(cluster, &chart()?, &WAIT).inspect_err(|_| {
        let state = cluster.kubectl(&["describe", "pods", "-n", NAMESPACE]);
        eprintln!("{}\n{}", state.unwrap_or_default(), log(cluster).unwrap_or_default());
    })
}

/// The chart of this project.
pub fn chart() -> Result<PathBuf> {
    Ok(folder().parent().context("no project around the tests")?.join("charts").join(RELEASE))
}

/// Installs a chart with the tests' images, or upgrades the release to it; `options` are further ones of Helm's.
pub fn release(cluster: &Cluster, chart: &Path, options: &[&str]) -> Result<()> {
    let mut values = image(cluster, "hubImage", "HUB_IMAGE", "nhub.test/hub:test")?;
    values.extend(image(cluster, "image", "OPERATOR_IMAGE", "nhub.test/operator:test")?);
    let mut arguments = vec!["upgrade", "--install", RELEASE, chart.to_str().context("an odd path")?];
    arguments.extend(["--namespace", NAMESPACE, "--create-namespace"]);
    values.iter().for_each(|value| arguments.extend(["--set-string", value]));
    arguments.extend(options);
    cluster.helm(&arguments).map(drop)
}

/// The chart's values for an image: the tests' own, or in a cluster of the user's one that it can pull.
fn image(cluster: &Cluster, value: &str, variable: &str, own: &str) -> Result<Vec<String>> {
    let image = image_name(cluster, variable, own)?;
    let (repository, tag) = image.rsplit_once(':').with_context(|| format!("{variable} needs a tag"))?;
    Ok(vec![format!("{value}.registry="), format!("{value}.repository={repository}"), format!("{value}.tag={tag}")])
}

/// An image: the tests' own, or in a cluster of the user's the one that a variable names.
pub fn image_name(cluster: &Cluster, variable: &str, own: &str) -> Result<String> {
    match std::env::var(variable) {
        Ok(image) => Ok(image),
        Err(_) if cluster.is_current_context() => bail!("CLUSTER=current needs {variable}: REPOSITORY:TAG"),
        Err(_) => Ok(own.to_owned()),
    }
}

/// The end of the operator's log.
pub fn log(cluster: &Cluster) -> Result<String> {
    cluster.kubectl(&["logs", "-n", NAMESPACE, &format!("deployment/{RELEASE}"), "--tail=100"])
}
