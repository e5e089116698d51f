//! Checks connection tokens.

use std::sync::LazyLock;
use std::time::Duration;

use notification_hub::http::connection_token::{ConnectionTokenSigner, TOKEN_TTL};
use notification_hub::signalr::Hub;

use crate::choices::Choices;

/// Checks that a token is valid only unchanged, with its key, for its hub, and until it expires.
pub(crate) fn check(input: &[u8]) {
    let mut choices = Choices(input);
    let mut id = [0; 16];
    let bytes = choices.bytes(16);
    id[..bytes.len()].copy_from_slice(bytes);
    let (hub, other_hub) =
        if choices.byte() & 1 == 0 { (Hub::Main, Hub::Anonymous) } else { (Hub::Anonymous, Hub::Main) };
    let now = Duration::from_millis(choices.number() >> 1);
    let age = Duration::from_millis(choices.number() % 20_000);
    let text = String::from_utf8_lossy(choices.0);

    static SIGNERS: LazyLock<[ConnectionTokenSigner; 2]> =
        LazyLock::new(|| [ConnectionTokenSigner::new(b"a key"), ConnectionTokenSigner::new(b"another key")]);
    let [signer, other_signer] = &*SIGNERS;
    let token = signer.issue(hub, id, now);
    assert_eq!(signer.verify(&token, hub, now + age), (age < TOKEN_TTL).then_some(id));
    assert_eq!(signer.verify(&token, other_hub, now), None);
    assert_eq!(other_signer.verify(&token, hub, now), None);
    let overwritten = overwrite(&token, &text);
    for text in [text.clone().into_owned(), format!("{token}{text}"), format!("{text}{token}"), overwritten] {
        let verified = [hub, other_hub].map(|hub| signer.verify(&text, hub, now));
        assert_eq!(verified, [(text == token).then_some(id), None], "{text}");
    }
}

/// Returns a token with the first letters and digits of a text written over a part of it.
fn overwrite(token: &str, text: &str) -> String {
    let letters = text.chars().filter(char::is_ascii_alphanumeric).take(8).collect::<String>();
    let at = text.len() % (token.len() - 8);
    format!("{}{letters}{}", &token[..at], &token[at + letters.len()..])
}
