//! Reads the files of the contract.

use std::path::Path;

use serde_json::Value;

/// Reads a JSON file of the contract.
pub(crate) fn file(name: &str) -> Value {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/contract").join(name);
    let text = std::fs::read(&path).expect("the contract's files are part of the repository");
    serde_json::from_slice(&text).expect("the contract's files are JSON")
}

/// Parses hex digits.
pub(crate) fn hex(digits: &str) -> Vec<u8> {
    assert!(digits.len().is_multiple_of(2), "half a byte in {digits:?}");
    let byte = |at| u8::from_str_radix(&digits[at..at + 2], 16).expect("hex digits");
    (0..digits.len()).step_by(2).map(byte).collect()
}

/// Returns the text of a member, which must be there.
pub(crate) fn text<'a>(row: &'a Value, member: &str) -> &'a str {
    row[member].as_str().unwrap_or_else(|| panic!("{member} is not a text in {row}"))
}
