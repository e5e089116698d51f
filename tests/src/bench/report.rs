//! The figures of a run: a table for people, `bench.json` (flat, numbers only) for machines. A figure that could not be measured
//! is in neither.

use std::path::Path;

use anyhow::{Context, Result};
use serde_json::{Map, Number, Value};

use super::server::Kind;

/// One measurement of the hub and of controls.
pub struct Row {
    /// The name in `bench.json`; a control's has [`Kind::prefix`] in front.
    pub key: &'static str,
    /// The name in the table.
    pub title: &'static str,
    /// The hub's figure.
    pub hub: f64,
    /// The controls'.
    pub controls: Vec<(Kind, f64)>,
    /// What the hub's has to be.
    pub budget: Option<Budget>,
}

/// What a figure has to be.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Budget {
    /// At most this.
    AtMost(f64),
    /// At most this or twice the bare epoll loop's, whichever is more.
    AtMostOrTwice(f64),
    /// At least this.
    AtLeast(f64),
    /// At least this share of the bare epoll loop's.
    Share(f64),
}

/// All rows, with figures about the run itself.
#[derive(Default)]
pub struct Report {
    rows: Vec<Row>,
    facts: Map<String, Value>,
    profiles: Vec<(&'static str, String)>,
}

impl Budget {
    fn kept(self, hub: f64, control: Option<f64>) -> bool {
        match self {
            Self::AtMost(most) => hub <= most,
            Self::AtMostOrTwice(most) => hub <= most.max(2.0 * control.unwrap_or_default()),
            Self::AtLeast(least) => hub >= least,
            Self::Share(share) => control.is_none_or(|control| hub >= share * control),
        }
    }

    fn text(self) -> String {
        match self {
            Self::AtMost(most) => format!("<= {}", digits(most)),
            Self::AtMostOrTwice(most) => format!("<= {} or 2x", digits(most)),
            Self::AtLeast(least) => format!(">= {}", digits(least)),
            Self::Share(share) => format!(">= {}x", digits(share)),
        }
    }
}

impl Row {
    fn control(&self, kind: Kind) -> Option<f64> {
        self.controls.iter().find(|(own, _)| *own == kind).map(|(_, figure)| *figure)
    }

    fn missed(&self) -> bool {
        self.budget.is_some_and(|budget| !budget.kept(self.hub, self.control(Kind::Bare)))
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

    /// Adds where the instructions of a row go.
    pub fn profile(&mut self, key: &'static str, text: String) {
        self.profiles.push((key, text));
    }

    /// The hub's figure in a row that was added before.
    pub fn figure(&self, key: &str) -> Option<f64> {
        self.rows.iter().find(|row| row.key == key).map(|row| row.hub)
    }

    /// Whether every budget is kept.
    pub fn kept(&self) -> bool {
        !self.rows.iter().any(Row::missed)
    }

    /// The table.
    pub fn table(&self) -> String {
        let mut table = format!("{:<44}{:>10}", "", Kind::Hub.title());
        Kind::CONTROLS.iter().for_each(|kind| table.push_str(&format!("{:>11}", kind.title())));
        table.push_str(&format!("{:>14}\n", "budget"));
        for row in &self.rows {
            table.push_str(&format!("{:<44}{:>10}", row.title, digits(row.hub)));
            for kind in Kind::CONTROLS {
                table.push_str(&format!("{:>11}", row.control(kind).map_or_else(|| "-".to_owned(), digits)));
            }
            let verdict = match row.budget {
                None => "",
                Some(_) if row.missed() => "  MISSED",
                Some(_) => "  kept",
            };
            let budget = row.budget.map_or_else(|| "-".to_owned(), Budget::text);
            table.push_str(&format!("{budget:>14}{verdict}\n"));
        }
        table
    }

    /// Where the instructions of rows go that miss their budget.
    pub fn explanations(&self) -> String {
        let missed = |key: &str| self.rows.iter().any(|row| row.key == key && row.missed());
        self.profiles.iter().filter(|(key, _)| missed(key)).map(|(_, text)| format!("\n{text}")).collect()
    }

    /// Writes `bench.json`, and beside it where the instructions go.
    pub fn write(&self, path: &Path) -> Result<()> {
        let mut all = self.facts.clone();
        for row in &self.rows {
            all.insert(row.key.to_owned(), number(row.hub));
            for (kind, figure) in &row.controls {
                all.insert(format!("{}{}", kind.prefix(), row.key), number(*figure));
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

/// A figure as people read it: the larger, the fewer digits behind the point.
fn digits(value: f64) -> String {
    match value.abs() {
        size if size >= 1000.0 || value.fract() == 0.0 => format!("{value:.0}"),
        size if size >= 10.0 => format!("{value:.1}"),
        _ => format!("{value:.2}"),
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

    fn row(key: &'static str, hub: f64, control: f64, budget: Option<Budget>) -> Row {
        Row { key, title: key, hub, controls: vec![(Kind::Bare, control), (Kind::AxumSmall, 9.0)], budget }
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
    fn budget_kept_compares_figure_with_limit_and_control() {
        for (budget, hub, control, kept) in [
            (Budget::AtMost(10.0), 10.0, 0.0, true),
            (Budget::AtMost(10.0), 10.1, 99.0, false),
            (Budget::AtMostOrTwice(10.0), 9.0, 1.0, true),
            (Budget::AtMostOrTwice(10.0), 19.0, 10.0, true),
            (Budget::AtMostOrTwice(10.0), 21.0, 10.0, false),
            (Budget::AtLeast(10.0), 9.0, 0.0, false),
            (Budget::Share(0.95), 95.0, 100.0, true),
            (Budget::Share(0.95), 94.0, 100.0, false),
        ] {
            assert_eq!(budget.kept(hub, Some(control)), kept, "{budget:?} {hub} {control}");
        }
    }

    #[test]
    fn report_missed_budget_adds_its_profile() {
        let mut report = report();
        report.profile("a", "of a\n".to_owned());
        report.profile("c", "of c\n".to_owned());
        assert!(report.kept() && report.table().contains("kept") && report.explanations().is_empty());
        report.add(row("c", 11.0, 0.0, Some(Budget::AtMost(10.0))));
        assert!(!report.kept() && report.table().contains("MISSED"));
        assert_eq!(report.explanations(), "\nof c\n");
    }

    #[test]
    fn digits_of_small_figures_have_more_decimals() {
        assert_eq!([0.456, 12.34, 1234.5, 400.0].map(digits), ["0.46", "12.3", "1234", "400"]);
    }
}
