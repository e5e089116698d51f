//! Installs the operator from its Helm chart.

use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use anyhow::{Context, Result, anyhow, bail};

use crate::cluster::{Cluster, folder};

/// The name of the release and of the operator's Deployment.
pub const RELEASE: &str = "notification-hub-operator";

/// The namespace of the operator.
pub const NAMESPACE: &str = "notification-hub-system";

/// Helm options that wait until the operator is ready.
pub const HELM_WAIT: [&str; 3] = ["--wait", "--timeout", "120s"];

/// Installs the chart once in this process. In another process, Helm upgrades the same release without a change.
pub fn install_operator(cluster: &Cluster) -> Result<()> {
    static INSTALLED: OnceLock<Result<(), String>> = OnceLock::new();
    let installed = INSTALLED.get_or_init(|| install_once(cluster).map_err(|error| format!("{error:#}")));
    installed.clone().map_err(|error| anyhow!(error))
}

fn install_once(cluster: &Cluster) -> Result<()> {
    install_release(cluster, &chart_path()?, &HELM_WAIT).inspect_err(|_| {
        let state = cluster.kubectl(&["describe", "pods", "-n", NAMESPACE]);
        eprintln!("{}\n{}", state.unwrap_or_default(), log(cluster).unwrap_or_default());
    })
}

/// Returns the folder of this project's chart.
pub fn chart_path() -> Result<PathBuf> {
    Ok(folder().parent().context("no project around the tests")?.join("charts").join(RELEASE))
}

/// Installs a chart with the tests' images, or upgrades the release to it. `options` are further Helm options.
pub fn install_release(cluster: &Cluster, chart: &Path, options: &[&str]) -> Result<()> {
    let mut values = image(cluster, "hubImage", "HUB_IMAGE", "nhub.test/hub:test")?;
    values.extend(image(cluster, "image", "OPERATOR_IMAGE", "nhub.test/operator:test")?);
    let mut arguments = vec!["upgrade", "--install", RELEASE, chart.to_str().context("a path that is not UTF-8")?];
    arguments.extend(["--namespace", NAMESPACE, "--create-namespace"]);
    values.iter().for_each(|value| arguments.extend(["--set-string", value]));
    arguments.extend(options);
    cluster.helm(&arguments).map(drop)
}

/// Returns the chart's values for an image. See [`image_name`].
fn image(cluster: &Cluster, value: &str, variable: &str, own: &str) -> Result<Vec<String>> {
    let image = image_name(cluster, variable, own)?;
    let (repository, tag) = image.rsplit_once(':').with_context(|| format!("{variable} needs a tag"))?;
    Ok(vec![format!("{value}.registry="), format!("{value}.repository={repository}"), format!("{value}.tag={tag}")])
}

/// Returns the image in an environment variable, or else the tests' own. With the current context the variable is required.
pub fn image_name(cluster: &Cluster, variable: &str, own: &str) -> Result<String> {
    match std::env::var(variable) {
        Ok(image) => Ok(image),
        Err(_) if cluster.is_current_context() => bail!("CLUSTER=current needs {variable}: REPOSITORY:TAG"),
        Err(_) => Ok(own.to_owned()),
    }
}

/// Returns the last lines of the operator's log.
pub fn log(cluster: &Cluster) -> Result<String> {
    cluster.kubectl(&["logs", "-n", NAMESPACE, &format!("deployment/{RELEASE}"), "--tail=100"])
}
