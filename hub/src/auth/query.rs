//! The parameters of a query string. No I/O.

use std::borrow::Cow;

use percent_encoding::percent_decode_str;

/// The number of parameters that a client usually sends to a hub: `id` and `access_token`.
const TYPICAL_PARAMETERS: usize = 2;

/// The names and values of a query string in their order, not decoded.
#[derive(Default)]
pub struct Query<'a>(Vec<(&'a str, &'a str)>);

impl<'a> Query<'a> {
    /// Parses a query string, without its question mark.
    pub fn parse(query: &'a str) -> Query<'a> {
        let mut pairs = Vec::with_capacity(TYPICAL_PARAMETERS);
        let mut rest = Some(query).filter(|query| !query.is_empty());
        while let Some(text) = rest {
            let (pair, remaining) = split_at_byte(text, b'&');
            let (name, value) = split_at_byte(pair, b'=');
            pairs.push((name, value.unwrap_or_default()));
            rest = remaining;
        }
        Query(pairs)
    }

    /// Returns the first value of a parameter, percent-decoded, or `None` if it is missing. The case of names is ignored, as in
    /// ASP.NET.
    pub fn value(&self, name: &str) -> Option<Cow<'a, str>> {
        self.values(name).next()
    }

    /// Returns all values of a parameter, joined by commas as in ASP.NET, or `None` if it is missing.
    pub fn joined(&self, name: &str) -> Option<Cow<'a, str>> {
        self.values(name).reduce(|values, value| Cow::Owned(format!("{values},{value}")))
    }

    fn values(&self, name: &str) -> impl Iterator<Item = Cow<'a, str>> {
        let matches = move |other: &str| {
            other.eq_ignore_ascii_case(name)
                || (other.bytes().any(|byte| byte == b'%') && percent_decode(other).eq_ignore_ascii_case(name))
        };
        self.0.iter().filter(move |(other, _)| matches(other)).map(|(_, value)| percent_decode(value))
    }
}

/// Splits a text at the first occurrence of an ASCII byte. Without one, returns the whole text and `None`.
fn split_at_byte(text: &str, separator: u8) -> (&str, Option<&str>) {
    match memchr::memchr(separator, text.as_bytes()) {
        Some(at) => (&text[..at], Some(&text[at + 1..])),
        None => (text, None),
    }
}

/// Decodes percent escapes, and `+` to a space. Keeps invalid escapes; replaces invalid UTF-8 by U+FFFD.
fn percent_decode(text: &str) -> Cow<'_, str> {
    // Most values are not escaped. They are returned without a copy.
    if memchr::memchr2(b'%', b'+', text.as_bytes()).is_none() {
        return Cow::Borrowed(text);
    }
    let spaced = text.replace('+', " ");
    Cow::Owned(percent_decode_str(&spaced).decode_utf8_lossy().into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(query: &str, name: &str) -> Option<String> {
        Query::parse(query).value(name).map(Cow::into_owned)
    }

    #[test]
    fn query_value_repeated_in_any_spelling_returns_the_first() {
        assert_eq!(value("a=1&A=2&b", "A").as_deref(), Some("1"));
        assert_eq!(value("x=1&%61=2", "a").as_deref(), Some("2"));
        assert_eq!((value("a&b=", "a").as_deref(), value("a&b=", "b").as_deref()), (Some(""), Some("")));
        assert_eq!(value("&&a=b=c&", "a").as_deref(), Some("b=c"));
        assert_eq!((value("", "a"), value("ab=1", "a")), (None, None));
    }

    #[test]
    fn query_value_invalid_percent_escapes_are_kept() {
        assert_eq!(value("a=%zz%4", "a").as_deref(), Some("%zz%4"));
        assert_eq!(value("a=%+1%2B+%c3%zz", "a").as_deref(), Some("% 1+ \u{fffd}%zz"));
        assert_eq!(value("a=b+c%20d", "a").as_deref(), Some("b c d"));
    }
}
