//! The shorthand of the recording.

/// `<y x 32705>` stands for that many y; other `<` are literal.
pub(crate) fn expand(text: &str) -> String {
    let mut expanded = String::new();
    let mut rest = text;
    while let Some(at) = rest.find('<') {
        expanded.push_str(&rest[..at]);
        match repetition(&rest[at..]) {
            Some((unit, count, length)) => {
                expanded.push_str(&unit.repeat(count));
                rest = &rest[at + length..];
            }
            None => {
                expanded.push('<');
                rest = &rest[at + 1..];
            }
        }
    }
    expanded + rest
}

fn repetition(text: &str) -> Option<(&str, usize, usize)> {
    let (inside, _) = text.strip_prefix('<')?.split_once('>')?;
    let (unit, count) = inside.split_once(" x ")?;
    Some((unit, count.parse().ok()?, inside.len() + 2))
}

/// Bytes as hex digits.
pub(crate) fn hex_of(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Whether a text is a time like `2026-11-22T08:23:36.3845652Z`.
pub(crate) fn is_now(text: &str) -> bool {
    text.ends_with('Z') && notification_hub::notification::Date::parse(text).is_some()
}
