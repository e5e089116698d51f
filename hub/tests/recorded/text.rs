//! The notation of the recording.

/// Expands repetitions: `<y x 32705>` is 32,705 times `y`. Any other `<` is literal.
pub(crate) fn expand(text: &str) -> String {
    let mut expanded = String::new();
    let mut rest = text;
    while let Some(index) = rest.find('<') {
        expanded.push_str(&rest[..index]);
        match repetition(&rest[index..]) {
            Some((unit, count, length)) => {
                expanded.push_str(&unit.repeat(count));
                rest = &rest[index + length..];
            }
            None => {
                expanded.push('<');
                rest = &rest[index + 1..];
            }
        }
    }
    expanded + rest
}

/// Parses a repetition. Returns its unit, its count, and the length of its notation.
fn repetition(text: &str) -> Option<(&str, usize, usize)> {
    let (inside, _) = text.strip_prefix('<')?.split_once('>')?;
    let (unit, count) = inside.split_once(" x ")?;
    Some((unit, count.parse().ok()?, inside.len() + 2))
}

/// Returns bytes as hex digits.
pub(crate) fn hex_of(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Returns whether a text is a time like `2026-11-22T08:23:36.3845652Z`.
pub(crate) fn is_utc_time(text: &str) -> bool {
    text.ends_with('Z') && notification_hub::notification::Date::parse(text).is_some()
}
