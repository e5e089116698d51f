//! Checks values and tokens in a query or a header.

use notification_hub::auth::Query;
use notification_hub::auth::bearer::find_token;

/// Checks that a query returns any escaped text unchanged, and that a header that is not blank takes precedence over the query.
pub(crate) fn check(input: &[u8]) {
    let text = String::from_utf8_lossy(input);
    let query = Query::parse(&text);
    for name in ["id", "Token", "access_token"] {
        let value = query.value(name);
        // A query without escapes contains each value unchanged.
        if let Some(value) = value.filter(|_| !text.contains(['%', '+'])) {
            assert!(text.contains(&*value));
        }
    }
    let digit = |number: u8| char::from(b"0123456789abcdef"[usize::from(number)]);
    let escaped: String = text.bytes().flat_map(|byte| ['%', digit(byte >> 4), digit(byte & 15)]).collect();
    let query = format!("before=%&ID={escaped}&id=later");
    assert_eq!(Query::parse(&query).value("id").as_deref(), Some(&*text));
    let query = format!("access_token={escaped}");
    let found = find_token(None, &Query::parse(&query)).map(|token| token.reveal().to_owned());
    assert_eq!(found.as_deref(), (!text.is_empty()).then_some(&*text));

    let query = Query::parse("access_token=x");
    let header = find_token(Some(input), &query).map(|token| token.reveal().to_owned());
    if input.trim_ascii().is_empty() {
        assert_eq!(header.as_deref(), Some("x"));
    } else if let Some(token) = header {
        assert!(!token.is_empty() && text.contains(&token));
    }
    let bearer = find_token(Some(&[b"bEARER ", input].concat()), &query).map(|token| token.reveal().to_owned());
    let token = std::str::from_utf8(input).ok().map(|_| input.trim_ascii()).filter(|token| !token.is_empty());
    assert_eq!(bearer.as_deref().map(str::as_bytes), token);
}
