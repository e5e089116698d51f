//! What must be nowhere but where it was put: every token, key and connection string that a test uses. Whatever a program
//! prints or shows is searched for them when it ends.

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};

static KEPT: Mutex<BTreeSet<String>> = Mutex::new(BTreeSet::new());

/// The shortest secret that is looked for: a shorter one would be found by chance.
const SHORTEST: usize = 12;

/// Keeps a secret. Of a token its signature is enough: the rest may be said.
pub fn keep(secret: &str) {
    if secret.len() >= SHORTEST {
        KEPT.lock().unwrap_or_else(PoisonError::into_inner).insert(secret.to_owned());
    }
}

/// The first secret that stands in a text, cut short so that this does not tell it either.
pub fn leaked(text: &str) -> Option<String> {
    let kept = KEPT.lock().unwrap_or_else(PoisonError::into_inner);
    kept.iter().find(|secret| text.contains(*secret)).map(|secret| format!("{}...", &secret[..SHORTEST / 2]))
}

/// Fails if a secret stands in a text of somebody's.
pub fn none_in(whose: &str, text: &str) {
    // A test that has failed already says enough.
    if !std::thread::panicking()
        && let Some(secret) = leaked(text)
    {
        panic!("the secret {secret} is in {whose}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn leaked_finds_a_kept_secret_in_text() {
        keep("a-secret-of-this-test");
        keep("short");
        assert_eq!(leaked("so a-secret-of-this-test it is").as_deref(), Some("a-secr..."));
        assert_eq!(leaked("short and a-secret-of-that-test"), None);
    }
}
