//! The `WWW-Authenticate` header of an answer (RFC 6750 3), as a client reads it. No I/O.

/// Returns the `error_description` of a Bearer challenge, or `None` if it has none.
pub fn error_description(challenge: &str) -> Option<String> {
    let (_, rest) = challenge.split_once("error_description=\"")?;
    let mut text = String::new();
    let mut letters = rest.chars();
    loop {
        match letters.next()? {
            '"' => return Some(text),
            '\\' => text.push(letters.next()?),
            letter => text.push(letter),
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
