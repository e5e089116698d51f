//! Reads the `WWW-Authenticate` header of a response (RFC 6750 3). No I/O.

/// Returns the `error_description` of a Bearer challenge, or `None` if it has none.
pub fn error_description(challenge: &str) -> Option<String> {
    let (_, rest) = challenge.split_once("error_description=\"")?;
    let mut text = String::new();
    let mut chars = rest.chars();
    loop {
        match chars.next()? {
            '"' => return Some(text),
            '\\' => text.push(chars.next()?),
            character => text.push(character),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::Rejection;

    #[test]
    fn challenge_error_description_is_unquoted() {
        let read = |rejection: Rejection| rejection.challenge().and_then(error_description);
        assert_eq!(read(Rejection::Expired).as_deref(), Some("The token expired"));
        assert_eq!(read(Rejection::Missing), None);
        assert_eq!(error_description(r#"Bearer error_description="say \"a\"", x="y""#).as_deref(), Some(r#"say "a""#));
        assert_eq!(error_description(r#"Bearer error_description="cut"#), None);
    }
}
