//! Finds the bearer token of a request (`signalr.md` 7.1). No I/O.

use std::fmt;

use super::query::Query;

/// A bearer token as received. `Debug` prints `***`, so that a token never reaches a log.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct BearerToken(String);

impl BearerToken {
    /// Returns the text of the token, to verify or send it.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl<T: Into<String>> From<T> for BearerToken {
    fn from(text: T) -> Self {
        BearerToken(text.into())
    }
}

impl fmt::Debug for BearerToken {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("***")
    }
}

/// Returns the token of a request, or `None` if it has none. A header that is not blank takes precedence over `access_token` in
/// the query, even if its scheme is not Bearer.
pub fn find_token(authorization: Option<&[u8]>, query: &Query<'_>) -> Option<BearerToken> {
    if let Some(value) = authorization.map(<[u8]>::trim_ascii).filter(|value| !value.is_empty()) {
        const SCHEME: &[u8] = b"bearer ";
        let (scheme, token) = value.split_at_checked(SCHEME.len())?;
        let token = token.trim_ascii();
        return (scheme.eq_ignore_ascii_case(SCHEME) && !token.is_empty())
            .then(|| std::str::from_utf8(token).ok().map(BearerToken::from))
            .flatten();
    }
    let token = query.value("access_token")?;
    (!token.is_empty()).then(|| BearerToken::from(token.into_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(authorization: Option<&str>, query: &str) -> Option<String> {
        find_token(authorization.map(str::as_bytes), &Query::parse(query)).map(|token| token.reveal().to_owned())
    }

    #[test]
    fn bearer_in_header_takes_precedence_over_query() {
        assert_eq!(found(Some("Bearer a.b.c"), "access_token=x"), Some("a.b.c".into()));
        assert_eq!(found(Some("bearer a.b.c"), ""), Some("a.b.c".into()));
        assert_eq!(found(Some("  "), "access_token=x"), Some("x".into()));
        assert_eq!(found(None, "a=b&ACCESS_TOKEN=x%2Ey"), Some("x.y".into()));
    }

    #[test]
    fn bearer_other_scheme_in_header_ignores_query() {
        assert_eq!(found(Some("Basic eDp5"), "access_token=x"), None);
        assert_eq!(found(Some("Bearer"), "access_token=x"), None);
        assert_eq!(found(Some("Bearer "), "access_token=x"), None);
    }

    #[test]
    fn bearer_missing_or_empty_returns_none() {
        assert_eq!(found(None, ""), None);
        assert_eq!(found(None, "access_token="), None);
        assert_eq!(found(None, "access_token"), None);
    }

    #[test]
    fn bearer_debug_output_hides_the_token() {
        assert_eq!(format!("{:?}", BearerToken::from("secret")), "***");
    }
}
