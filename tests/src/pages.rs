//! Reads the pages of the documentation and other files of the project.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};

/// Returns the folder of the project.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// Reads a file of the project.
pub fn read(path: &str) -> Result<String> {
    std::fs::read_to_string(root().join(path)).with_context(|| path.to_owned())
}

/// Returns the rows of the table whose first column has this heading, each as its cells.
pub fn table(page: &str, first: &str) -> Result<Vec<Vec<String>>> {
    let mut lines = page.lines().skip_while(|line| !line.starts_with(&format!("| {first} |")));
    let columns = cells(lines.next().with_context(|| format!("no table of {first}"))?).len();
    let rows: Vec<_> = lines.skip(1).take_while(|line| line.starts_with('|')).map(cells).collect();
    ensure!(rows.iter().all(|row| row.len() == columns), "a row of the table of {first} has other columns");
    Ok(rows)
}

/// Returns the cells of a row.
pub fn cells(line: &str) -> Vec<String> {
    line.trim_matches('|').split('|').map(|cell| cell.trim().to_owned()).collect()
}

/// Returns the texts between backquotes.
pub fn code(text: &str) -> Vec<&str> {
    text.split('`').skip(1).step_by(2).collect()
}

/// Parses the labels of a metric: its values by name, or `None` for values that are only described.
pub fn labels(cell: &str) -> Result<BTreeMap<String, Option<BTreeSet<String>>>> {
    let parts = cell.split(';').filter(|part| !part.is_empty());
    let label = |part: &str| {
        let (name, values) = part.split_once('=').with_context(|| format!("{part} has no values"))?;
        let listed = code(values).into_iter().map(str::to_owned).collect();
        let is_list = values.split(',').all(|value| value.trim().starts_with('`') && value.trim().ends_with('`'));
        Ok((name.trim().trim_matches('`').to_owned(), is_list.then_some(listed)))
    };
    parts.map(label).collect()
}
