//! The Grafana dashboards of the chart.

use anyhow::{Context, Result};
use serde_json::Value;

use crate::pages::read;

/// The names of the dashboards.
pub const DASHBOARDS: [&str; 2] = ["hub", "operator"];

/// A dashboard.
pub struct Dashboard(Value);

/// A query of a panel.
pub struct PanelQuery {
    /// The title of the panel.
    pub title: String,
    /// The PromQL expression with its variables.
    pub expression: String,
}

/// A variable with the values of a label.
pub struct Variable {
    /// The PromQL expression of the series.
    pub series: String,
    /// The name of the label.
    pub label: String,
}

impl Dashboard {
    /// Reads a dashboard of the chart.
    pub fn read(name: &str) -> Result<Self> {
        let file = read(&format!("charts/notification-hub-operator/files/dashboards/{name}.json"))?;
        Ok(Self(serde_json::from_str(&file)?))
    }

    /// Returns the queries of all panels.
    pub fn queries(&self) -> Result<Vec<PanelQuery>> {
        let mut queries = Vec::new();
        for panel in self.0["panels"].as_array().context("no panels")? {
            let title = panel["title"].as_str().context("no title")?;
            for target in panel["targets"].as_array().into_iter().flatten() {
                let expression = target["expr"].as_str().context("no expression")?.to_owned();
                queries.push(PanelQuery { title: title.to_owned(), expression });
            }
        }
        Ok(queries)
    }

    /// Returns the variables that are values of a label.
    pub fn variables(&self) -> Result<Vec<Variable>> {
        let list = self.0["templating"]["list"].as_array().context("no variables")?;
        let queries = list.iter().filter_map(|variable| variable["query"]["query"].as_str());
        let variables = queries.map(|query| {
            let arguments = query.strip_prefix("label_values(").and_then(|rest| rest.strip_suffix(')'));
            let (series, label) =
                arguments.and_then(|rest| rest.rsplit_once(", ")).with_context(|| query.to_owned())?;
            Ok(Variable { series: series.to_owned(), label: label.to_owned() })
        });
        variables.collect()
    }
}

/// Fills in the variables of an expression as Grafana does.
pub fn fill(expression: &str, namespace: &str, job: &str) -> String {
    expression.replace("$namespace", namespace).replace("$job", job).replace("$__rate_interval", "10s")
}
