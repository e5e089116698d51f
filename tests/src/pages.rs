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

/// Returns the contents of the code blocks that a comment `<!-- test: NAME -->` precedes, by name.
///
/// # Errors
/// If two blocks have the same name, or a name has no block.
pub fn named_blocks(page: &str) -> Result<BTreeMap<&str, &str>> {
    let mut blocks = BTreeMap::new();
    for rest in page.split("<!-- test: ").skip(1) {
        let (name, rest) = rest.split_once(" -->\n```").context("a test comment without a block behind it")?;
        let (_, rest) = rest.split_once('\n').with_context(|| format!("the block {name:?} is empty"))?;
        let (block, _) = rest.split_once("```").with_context(|| format!("the block {name:?} has no end"))?;
        ensure!(blocks.insert(name, block).is_none(), "two blocks are called {name:?}");
    }
    Ok(blocks)
}

/// Returns the content of the code block with a name.
pub fn block<'a>(page: &'a str, name: &str) -> Result<&'a str> {
    named_blocks(page)?.remove(name).with_context(|| format!("no block is called {name:?}"))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn named_blocks_returns_blocks_behind_comments() {
        let page =
            "a\n```sh\nunnamed\n```\n<!-- test: one -->\n```sh\nfirst\n```\n\n<!-- test: two -->\n```yaml\na: 1\n```\n";
        let blocks = named_blocks(page).expect("blocks");
        assert_eq!(blocks.into_iter().collect::<Vec<_>>(), [("one", "first\n"), ("two", "a: 1\n")]);
        assert_eq!(block(page, "two").expect("a block"), "a: 1\n");
        for wrong in ["<!-- test: a -->\ntext\n", &page.replace("two", "one"), "<!-- test: a -->\n```sh\nno end"] {
            assert!(named_blocks(wrong).is_err(), "{wrong}");
        }
        assert_eq!(block(page, "three").expect_err("no block").to_string(), "no block is called \"three\"");
    }
}
