//! Connection tokens.

use std::sync::LazyLock;
use std::time::Duration;

use notification_hub::http::connection_token::{ConnectionTokenSigner, TOKEN_TTL};
use notification_hub::signalr::Hub;

use crate::choices::Choices;

/// No text is a token but one that was given out, unchanged, for its hub and its time.
pub(crate) fn check(input: &[u8]) {
    let mut choices = Choices(input);
    let mut id = [0; 16];
    let bytes = choices.bytes(16);
    id[..bytes.len()].copy_from_slice(bytes);
    let (hub, other) = if choices.byte() & 1 == 0 { (Hub::Main, Hub::Anonymous) } else { (Hub::Anonymous, Hub::Main) };
    let now = Duration::from_millis(choices.number() >> 1);
    let age = Duration::from_millis(choices.number() % 20_000);
    let text = String::from_utf8_lossy(choices.0);

    static TOKENS: LazyLock<[ConnectionTokenSigner; 2]> =
        LazyLock::new(|| [ConnectionTokenSigner::new(b"a key"), ConnectionTokenSigner::new(b"another key")]);
    let [tokens, others] = &*TOKENS;
    let token = tokens.issue(hub, id, now);
    assert_eq!(tokens.verify(&token, hub, now + age), (age < TOKEN_TTL).then_some(id));
    assert_eq!(tokens.verify(&token, other, now), None);
    assert_eq!(others.verify(&token, hub, now), None);
    for text in [text.clone().into_owned(), format!("{token}{text}"), format!("{text}{token}"), over(&token, &text)] {
        let taken = [hub, other].map(|hub| tokens.verify(&text, hub, now));
        assert_eq!(taken, [(text == token).then_some(id), None], "{text}");
    }
}

/// A token with the beginning of a text written over its middle.
fn over(token: &str, text: &str) -> String {
    let letters = text.chars().filter(char::is_ascii_alphanumeric).take(8).collect::<String>();
    let at = text.len() % (token.len() - 8);
    format!("{}{letters}{}", &token[..at], &token[at + letters.len()..])
}
