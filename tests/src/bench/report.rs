//! The report of a run: a table, and `bench.json`, a flat object of numbers. A figure that could not be measured is in neither.

use std::path::Path;

use anyhow::{Context, Result};
use serde_json::{Map, Number, Value};

use super::server::ServerKind;

/// One figure of the hub and of controls.
pub struct Row {
    /// The key in `bench.json`. The key of a control has the prefix [`ServerKind::key_prefix`].
    pub key: &'static str,
    /// The title in the table.
    pub title: &'static str,
    /// The hub's figure.
    pub hub: f64,
    /// The figures of the controls.
    pub controls: Vec<(ServerKind, f64)>,
    /// The requirement for the hub's figure, or `None`.
    pub budget: Option<Budget>,
}

/// A requirement for a figure.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Budget {
    /// At most this value.
    AtMost(f64),
    /// At most this value, or twice the figure of the bare epoll loop, whichever is larger.
    AtMostOrTwiceControl(f64),
    /// At least this value.
    AtLeast(f64),
    /// At least this share of the figure of the bare epoll loop.
    ShareOfControl(f64),
}

/// The rows of a run, with notes and profiles.
#[derive(Default)]
pub struct Report {
    rows: Vec<Row>,
    /// Figures without a row in the table.
    notes: Map<String, Value>,
    /// Profiles by the key of their row.
    profiles: Vec<(&'static str, String)>,
}

impl Budget {
    fn is_met(self, hub: f64, control: Option<f64>) -> bool {
        match self {
            Self::AtMost(most) => hub <= most,
            Self::AtMostOrTwiceControl(most) => hub <= most.max(2.0 * control.unwrap_or_default()),
            Self::AtLeast(least) => hub >= least,
            Self::ShareOfControl(share) => control.is_none_or(|control| hub >= share * control),
        }
    }

    fn text(self) -> String {
        match self {
            Self::AtMost(most) => format!("<= {}", format_figure(most)),
            Self::AtMostOrTwiceControl(most) => format!("<= {} or 2x", format_figure(most)),
            Self::AtLeast(least) => format!(">= {}", format_figure(least)),
            Self::ShareOfControl(share) => format!(">= {}x", format_figure(share)),
        }
    }
}

impl Row {
    fn control(&self, kind: ServerKind) -> Option<f64> {
        self.controls.iter().find(|(own, _)| *own == kind).map(|(_, figure)| *figure)
    }

    fn is_missed(&self) -> bool {
        self.budget.is_some_and(|budget| !budget.is_met(self.hub, self.control(ServerKind::Bare)))
    }
}

impl Report {
    /// Adds a row.
    pub fn add(&mut self, row: Row) {
        self.rows.push(row);
    }

    /// Adds a figure without a row in the table.
    pub fn note(&mut self, key: &str, value: f64) {
        self.notes.insert(key.to_owned(), json_number(value));
    }

    /// Adds the profile of a row.
    pub fn add_profile(&mut self, key: &'static str, text: String) {
        self.profiles.push((key, text));
    }

    /// Returns the hub's figure of a row, or `None` if it was not added.
    pub fn figure(&self, key: &str) -> Option<f64> {
        self.rows.iter().find(|row| row.key == key).map(|row| row.hub)
    }

    /// Returns whether every budget is met.
    pub fn are_budgets_met(&self) -> bool {
        !self.rows.iter().any(Row::is_missed)
    }

    /// Returns the table.
    pub fn table(&self) -> String {
        let mut table = format!("{:<44}{:>10}", "", ServerKind::Hub.title());
        ServerKind::CONTROLS.iter().for_each(|kind| table.push_str(&format!("{:>11}", kind.title())));
        table.push_str(&format!("{:>14}\n", "budget"));
        for row in &self.rows {
            table.push_str(&format!("{:<44}{:>10}", row.title, format_figure(row.hub)));
            for kind in ServerKind::CONTROLS {
                table.push_str(&format!("{:>11}", row.control(kind).map_or_else(|| "-".to_owned(), format_figure)));
            }
            let result = match row.budget {
                None => "",
                Some(_) if row.is_missed() => "  MISSED",
                Some(_) => "  kept",
            };
            let budget = row.budget.map_or_else(|| "-".to_owned(), Budget::text);
            table.push_str(&format!("{budget:>14}{result}\n"));
        }
        table
    }

    /// Returns the profiles of the rows that miss their budget.
    pub fn missed_profiles(&self) -> String {
        let missed = |key: &str| self.rows.iter().any(|row| row.key == key && row.is_missed());
        self.profiles.iter().filter(|(key, _)| missed(key)).map(|(_, text)| format!("\n{text}")).collect()
    }

    /// Writes `bench.json`, and all profiles to `bench-profile.txt` in the same folder.
    pub fn write(&self, path: &Path) -> Result<()> {
        let mut all = self.notes.clone();
        for row in &self.rows {
            all.insert(row.key.to_owned(), json_number(row.hub));
            for (kind, figure) in &row.controls {
                all.insert(format!("{}{}", kind.key_prefix(), row.key), json_number(*figure));
            }
        }
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder)?;
        }
        let text = serde_json::to_string_pretty(&Value::Object(all))?;
        std::fs::write(path, text + "\n").with_context(|| format!("cannot write {}", path.display()))?;
        let profiles: Vec<&str> = self.profiles.iter().map(|(_, text)| text.as_str()).collect();
        std::fs::write(path.with_file_name("bench-profile.txt"), profiles.join("\n"))?;
        Ok(())
    }
}

/// Formats a figure for the table. Larger figures have fewer decimals.
fn format_figure(value: f64) -> String {
    match value.abs() {
        size if size >= 1000.0 || value.fract() == 0.0 => format!("{value:.0}"),
        size if size >= 10.0 => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    }
}

/// Returns a finite figure for JSON, rounded to two decimals.
fn json_number(value: f64) -> Value {
    let rounded = (value * 100.0).round() / 100.0;
    if rounded.fract() == 0.0 {
        return Value::from(rounded as i64);
    }
    Number::from_f64(rounded).map_or(Value::Null, Value::Number)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(key: &'static str, hub: f64, control: f64, budget: Option<Budget>) -> Row {
        Row { key, title: key, hub, controls: vec![(ServerKind::Bare, control), (ServerKind::AxumSmall, 9.0)], budget }
    }

    fn report() -> Report {
        let mut report = Report::default();
        report.add(row("a", 100.0, 1.234, Some(Budget::AtMost(100.0))));
        report.add(Row { controls: Vec::new(), ..row("b", 5.0, 0.0, None) });
        report.note("counter_hardware", 0.0);
        report
    }

    #[test]
    fn report_write_creates_flat_json_of_numbers() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("deep/bench.json");
        report().write(&path).unwrap();
        let read: Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
        let expected =
            serde_json::json!({"a": 100, "control_a": 1.23, "control_axum_small_a": 9, "b": 5, "counter_hardware": 0});
        assert_eq!(read, expected);
    }

    #[test]
    fn budget_is_met_compares_figure_with_limit_and_control() {
        for (budget, hub, control, met) in [
            (Budget::AtMost(10.0), 10.0, 0.0, true),
            (Budget::AtMost(10.0), 10.1, 99.0, false),
            (Budget::AtMostOrTwiceControl(10.0), 9.0, 1.0, true),
            (Budget::AtMostOrTwiceControl(10.0), 19.0, 10.0, true),
            (Budget::AtMostOrTwiceControl(10.0), 21.0, 10.0, false),
            (Budget::AtLeast(10.0), 9.0, 0.0, false),
            (Budget::ShareOfControl(0.95), 95.0, 100.0, true),
            (Budget::ShareOfControl(0.95), 94.0, 100.0, false),
        ] {
            assert_eq!(budget.is_met(hub, Some(control)), met, "{budget:?} {hub} {control}");
        }
    }

    #[test]
    fn report_missed_budget_adds_its_profile() {
        let mut report = report();
        report.add_profile("a", "of a\n".to_owned());
        report.add_profile("c", "of c\n".to_owned());
        assert!(report.are_budgets_met() && report.table().contains("kept") && report.missed_profiles().is_empty());
        report.add(row("c", 11.0, 0.0, Some(Budget::AtMost(10.0))));
        assert!(!report.are_budgets_met() && report.table().contains("MISSED"));
        assert_eq!(report.missed_profiles(), "\nof c\n");
    }

    #[test]
    fn format_figure_of_small_figures_has_more_decimals() {
        assert_eq!([0.456, 12.34, 1234.5, 400.0].map(format_figure), ["0.46", "12.3", "1234", "400"]);
    }
}
