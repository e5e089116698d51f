//! Where a request carries its token (`signalr.md` 7.1).

use std::borrow::Cow;
use std::fmt;

use uuid::Uuid;

/// A bearer token as it came. Prints as `***`: a token never reaches a log.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Bearer(String);

impl Bearer {
    /// The token's text, for verifying and for sending it.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl<T: Into<String>> From<T> for Bearer {
    fn from(text: T) -> Self {
        Bearer(text.into())
    }
}

impl fmt::Debug for Bearer {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("***")
    }
}

/// The token of a request: from the `Authorization` header if that is not blank, else from `access_token` in the
/// query. A header with another scheme hides the query.
pub fn find(authorization: Option<&[u8]>, query: &str) -> Option<Bearer> {
    if let Some(value) = authorization.map(<[u8]>::trim_ascii).filter(|value| !value.is_empty()) {
        const SCHEME: &[u8] = b"bearer ";
        let (scheme, token) = value.split_at_checked(SCHEME.len())?;
        let token = token.trim_ascii();
        return (scheme.eq_ignore_ascii_case(SCHEME) && !token.is_empty())
            .then(|| std::str::from_utf8(token).ok().map(Bearer::from))
            .flatten();
    }
    let token = query_value(query, "access_token")?;
    (!token.is_empty()).then(|| Bearer::from(token.into_owned()))
}

/// The first value of a query parameter, percent-decoded; keys are compared without case, as ASP.NET does.
pub fn query_value<'a>(query: &'a str, key: &str) -> Option<Cow<'a, str>> {
    query.split('&').find_map(|pair| {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        percent_decode(name).eq_ignore_ascii_case(key).then(|| percent_decode(value))
    })
}

/// The login request whose answer an anonymous client waits for: its `Token`, if that is a GUID.
pub fn login_request(query: &str) -> Option<Uuid> {
    query_value(query, "Token").and_then(|token| Uuid::try_parse(token.trim()).ok())
}

fn percent_decode(text: &str) -> Cow<'_, str> {
    let bytes = text.as_bytes();
    // Byte by byte, not letter by letter: a token has a thousand of them.
    if !bytes.iter().any(|byte| matches!(byte, b'%' | b'+')) {
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

    fn found(authorization: Option<&str>, query: &str) -> Option<String> {
        find(authorization.map(str::as_bytes), query).map(|token| token.reveal().to_owned())
    }

    #[test]
    fn header_wins_over_query() {
        assert_eq!(found(Some("Bearer a.b.c"), "access_token=x"), Some("a.b.c".into()));
        assert_eq!(found(Some("bearer a.b.c"), ""), Some("a.b.c".into()));
        assert_eq!(found(Some("  "), "access_token=x"), Some("x".into()));
        assert_eq!(found(None, "a=b&ACCESS_TOKEN=x%2Ey"), Some("x.y".into()));
    }

    #[test]
    fn another_scheme_hides_the_query() {
        assert_eq!(found(Some("Basic eDp5"), "access_token=x"), None);
        assert_eq!(found(Some("Bearer"), "access_token=x"), None);
        assert_eq!(found(Some("Bearer "), "access_token=x"), None);
    }

    #[test]
    fn nothing_is_nothing() {
        assert_eq!(found(None, ""), None);
        assert_eq!(found(None, "access_token="), None);
        assert_eq!(found(None, "access_token"), None);
    }

    #[test]
    fn broken_escapes_stay_as_they_are() {
        assert_eq!(query_value("a=%zz%4", "a").as_deref(), Some("%zz%4"));
        assert_eq!(query_value("a=b+c%20d", "a").as_deref(), Some("b c d"));
    }

    #[test]
    fn debug_hides_the_token() {
        assert_eq!(format!("{:?}", Bearer::from("secret")), "***");
    }
}
