//! The parameters of a request's query.

use std::borrow::Cow;

/// How many parameters the query of a hub has: a connection's id and a token.
const USUAL_PAIRS: usize = 2;

/// Names and values in their order, as they came.
#[derive(Default)]
pub struct Query<'a>(Vec<(&'a str, &'a str)>);

impl<'a> Query<'a> {
    /// Takes a query apart, which is what stands behind the question mark.
    pub fn parse(query: &'a str) -> Query<'a> {
        let mut pairs = Vec::with_capacity(USUAL_PAIRS);
        let mut rest = Some(query).filter(|query| !query.is_empty());
        while let Some(text) = rest {
            let (pair, more) = split(text, b'&');
            let (name, value) = split(pair, b'=');
            pairs.push((name, value.unwrap_or_default()));
            rest = more;
        }
        Query(pairs)
    }

    /// The first value of a parameter, percent-decoded; names are compared without case, as ASP.NET does.
    pub fn value(&self, name: &str) -> Option<Cow<'a, str>> {
        self.values(name).next()
    }

    /// All values of a parameter with commas between them, as ASP.NET reads one that is there more than once.
    pub fn joined(&self, name: &str) -> Option<Cow<'a, str>> {
        self.values(name).reduce(|values, value| Cow::Owned(format!("{values},{value}")))
    }

    fn values(&self, name: &str) -> impl Iterator<Item = Cow<'a, str>> {
        let is = move |other: &str| {
            other.eq_ignore_ascii_case(name)
                || (other.bytes().any(|byte| byte == b'%') && percent_decode(other).eq_ignore_ascii_case(name))
        };
        self.0.iter().filter(move |(other, _)| is(other)).map(|(_, value)| percent_decode(value))
    }
}

/// What stands before the first such ASCII letter, and what behind it.
fn split(text: &str, letter: u8) -> (&str, Option<&str>) {
    match memchr::memchr(letter, text.as_bytes()) {
        Some(at) => (&text[..at], Some(&text[at + 1..])),
        None => (text, None),
    }
}

fn percent_decode(text: &str) -> Cow<'_, str> {
    let bytes = text.as_bytes();
    if memchr::memchr2(b'%', b'+', bytes).is_none() {
        return Cow::Borrowed(text);
    }
    let mut decoded = Vec::with_capacity(bytes.len());
    let mut rest = bytes;
    while let Some((&first, tail)) = rest.split_first() {
        let hex = |byte: u8| char::from(byte).to_digit(16).map(|digit| digit as u8);
        match (first, tail) {
            (b'%', [high, low, after @ ..]) if hex(*high).is_some() && hex(*low).is_some() => {
                decoded.push(hex(*high).unwrap_or(0) << 4 | hex(*low).unwrap_or(0));
                rest = after;
                continue;
            }
            (b'+', _) => decoded.push(b' '),
            (other, _) => decoded.push(other),
        }
        rest = tail;
    }
    Cow::Owned(String::from_utf8_lossy(&decoded).into_owned())
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
        assert_eq!(value("a=b+c%20d", "a").as_deref(), Some("b c d"));
    }
}
