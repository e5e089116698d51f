//! The figures of a run: a table for people, `bench.json` (flat, numbers only) for machines. A figure that could not be measured
//! is in neither.

use std::fmt::Write as _;
use std::path::Path;

use anyhow::{Context, Result};
use serde_json::{Map, Number, Value};

/// One measurement of the hub and of the control.
pub struct Row {
    /// The name in `bench.json`; the control's has `control_` in front.
    pub key: &'static str,
    /// The name in the table.
    pub title: &'static str,
    /// The hub's figure.
    pub hub: f64,
    /// The control's.
    pub control: f64,
    /// The most that the hub may have.
    pub budget: Option<f64>,
}

/// All rows, with figures about the run itself.
#[derive(Default)]
pub struct Report {
    rows: Vec<Row>,
    facts: Map<String, Value>,
}

impl Row {
    fn missed(&self) -> bool {
        self.budget.is_some_and(|budget| self.hub > budget)
    }
}

impl Report {
    /// Adds a row.
    pub fn add(&mut self, row: Row) {
        self.rows.push(row);
    }

    /// Adds a figure that has no control and no line in the table.
    pub fn note(&mut self, key: &str, value: f64) {
        self.facts.insert(key.to_owned(), number(value));
    }

    /// Whether every budget is kept.
    pub fn kept(&self) -> bool {
        !self.rows.iter().any(Row::missed)
    }

    /// The table.
    pub fn table(&self) -> String {
        let mut table = format!("{:<38}{:>10}{:>10}{:>10}\n", "", "hub", "control", "budget");
        for row in &self.rows {
            let budget = row.budget.map_or_else(|| "-".to_owned(), |budget| format!("{budget:.0}"));
            let verdict = match row.budget {
                None => "",
                Some(_) if row.missed() => "  MISSED",
                Some(_) => "  kept",
            };
            // Writing to a String cannot fail.
            let _ = writeln!(table, "{:<38}{:>10.1}{:>10.1}{budget:>10}{verdict}", row.title, row.hub, row.control);
        }
        table
    }

    /// Writes `bench.json`.
    pub fn write(&self, path: &Path) -> Result<()> {
        let mut all = self.facts.clone();
        for row in &self.rows {
            all.insert(row.key.to_owned(), number(row.hub));
            all.insert(format!("control_{}", row.key), number(row.control));
        }
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder)?;
        }
        let text = serde_json::to_string_pretty(&Value::Object(all))?;
        std::fs::write(path, text + "\n").with_context(|| format!("cannot write {}", path.display()))
    }
}

/// Two digits behind the point, none where there are none; figures are finite.
fn number(value: f64) -> Value {
    let rounded = (value * 100.0).round() / 100.0;
    if rounded.fract() == 0.0 {
        return Value::from(rounded as i64);
    }
    Number::from_f64(rounded).map_or(Value::Null, Value::Number)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report() -> Report {
        let mut report = Report::default();
        report.add(Row { key: "a", title: "first", hub: 100.0, control: 1.234, budget: Some(100.0) });
        report.add(Row { key: "b", title: "second", hub: 5.0, control: 4.0, budget: None });
        report.note("counter_hardware", 0.0);
        report
    }

    #[test]
    fn a_file_of_numbers() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("deep/bench.json");
        report().write(&path).unwrap();
        let read: Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
        assert_eq!(
            read,
            serde_json::json!({"a": 100, "control_a": 1.23, "b": 5, "control_b": 4, "counter_hardware": 0})
        );
    }

    #[test]
    fn a_budget_is_kept_or_missed() {
        let mut report = report();
        assert!(report.kept() && report.table().contains("kept"));
        report.add(Row { key: "c", title: "third", hub: 11.0, control: 0.0, budget: Some(10.0) });
        assert!(!report.kept() && report.table().contains("MISSED"));
    }
}
