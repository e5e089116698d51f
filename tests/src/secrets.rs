//! Detects leaked secrets. Tests register every token, key and connection string that they use, and search the output of programs
//! for them.

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};

static REGISTERED: Mutex<BTreeSet<String>> = Mutex::new(BTreeSet::new());

/// The minimum length of a registered secret. A shorter one could occur by chance.
const MIN_SECRET_BYTES: usize = 12;

/// Registers a secret. For a token, register only the signature, because logs may contain its claims.
pub fn register(secret: &str) {
    if secret.len() >= MIN_SECRET_BYTES {
        REGISTERED.lock().unwrap_or_else(PoisonError::into_inner).insert(secret.to_owned());
    }
}

/// Returns the first characters of a registered secret that a text contains, or `None`.
pub fn find_leaked(text: &str) -> Option<String> {
    let registered = REGISTERED.lock().unwrap_or_else(PoisonError::into_inner);
    let leaked = registered.iter().find(|secret| text.contains(*secret));
    leaked.map(|secret| format!("{}...", &secret[..MIN_SECRET_BYTES / 2]))
}

/// Panics if a text contains a registered secret. `name` is the name of the text. Does nothing during a panic.
pub fn assert_none_in(name: &str, text: &str) {
    if !std::thread::panicking()
        && let Some(secret) = find_leaked(text)
    {
        panic!("the secret {secret} is in {name}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn find_leaked_finds_a_registered_secret_in_text() {
        register("a-secret-of-this-test");
        register("short");
        assert_eq!(find_leaked("so a-secret-of-this-test it is").as_deref(), Some("a-secr..."));
        assert_eq!(find_leaked("short and a-secret-of-that-test"), None);
    }
}
