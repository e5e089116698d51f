//! Checks JSON Web Key Sets (RFC 7517) of identity servers and files.

use notification_hub::auth::keys::jwk_set::JwkSet;
use notification_hub::auth::keys::key::Key;
use serde_json::{Value, json};

/// The secret that replaces each `$` of an input.
const SECRET: &str = "c2VjcmV0LXNlY3JldC1zZWNyZXQ";

/// The message that the known keys have signed.
const MESSAGE: &[u8] = b"a message";

/// Known keys with their signatures of the message: RSA, and ECDSA over P-256.
const RSA: (&str, &str) = (
    r#"{"kty":"RSA","e":"AQAB","n":"rXrubDDyuUkSo0CQVHbn8X30KYNyAhFRbx2uU2BurUqvn_ZR4e56W-3aigYk_7LZmFGnSzi2qCnRbNjNfWA_kzC9-qw2MVNCae-7cDD3VOFWRUnmDrL2E659SvDBR70HnB7-QOuQze8aFEg4omiCzqwy2--XvoBYH9aPr7pZcu0S36dyAEmKVpGEWM28zDaOXtHg0RVjYQNCiLI-9WqVVmPOWqMjAP4jPTFXWmGDFtSuQeBOzidl0I0d_bLSyVaEF2Wj2ezRw1zh5lHSYvpVR9iBIs_s5TAOG7AtNfJg-NwcpQxfdpFe5Ey0Wqfs3wBk4yED4qXp-Lrk6DWqmlbCdw"}"#,
    "c1teLfQdXLZj_wDQcoNuL_EeWkV0No7pBG-N2l-VQ7iA3kkkNYBRPaTIUx6P6cpFwLczevTEx22M5BNTKnM4bQsEhFWt9VZv2_XKfm0hhRD04kANG2O13dahRNlACuO8IQMGDwBCpoY7qs9HAbnb1MnKz3rxr6XbWouw0m7RvS__M-TCCwNg1ait625xclmoDIbheD7u9vmiVEsm3_BZIsgiTV7BWtj-sdJjZdZMDmpyluLG77xb_4OU5xCy4MrKh5hOpfV3zMChmsAuID9T_6Ia_OqTpC6SjmwCx9PKRq0FpIfsloLdD-XfgtmeQPr-nBWB2aZuOzI68zoDJQVNIg",
);
const ELLIPTIC: (&str, &str) = (
    r#"{"kty":"EC","crv":"P-256","x":"eZijbx7V4y6KT4Hi6yhfsoLVjZiExUOGGP3oVby_SnI","y":"im2ONe5mRU59yUM_QvZY46Tx5qGp2q_vqIK5p7cEbCI"}"#,
    "teVjS45yETWEcZUF9-87QookcxM0qRn2vhqNdE3s-yJgbSeF7tkuCYrcX44I09VVDfOwzQg5K6mMcxuKxy8u4A",
);

/// The maximum size of a set whose keys are also read one by one.
const MAX_ENTRIES: usize = 16;

/// Checks that each entry is a key or not, independent of the other entries. A known key must verify what it signed and nothing
/// else. An error must quote nothing.
pub(crate) fn check(input: &[u8]) {
    let text = String::from_utf8_lossy(input).replace('$', SECRET);
    let keys = match parse_keys(text.as_bytes()) {
        Ok(keys) => keys,
        Err(error) => return assert!(!error.is_empty() && !error.contains(SECRET), "{error}"),
    };
    // Members that the hub ignores may have names that are no text, such as half of a surrogate pair.
    let Ok(set) = serde_json::from_str::<Value>(&text) else { return };
    let entries = set["keys"].as_array().expect("entries");
    if entries.len() > MAX_ENTRIES {
        return assert!(keys.len() <= entries.len());
    }
    let one_by_one =
        entries.iter().filter_map(|entry| parse_keys(json!({ "keys": [entry] }).to_string().as_bytes()).ok());
    assert_eq!(identify(&one_by_one.flatten().collect::<Vec<_>>()), identify(&keys));

    let (jwk, signature) = if input.len().is_multiple_of(2) { RSA } else { ELLIPTIC };
    let entries: Vec<String> = entries.iter().map(Value::to_string).chain([jwk.to_owned()]).collect();
    let mut more = parse_keys(format!(r#"{{"keys":[{}]}}"#, entries.join(",")).as_bytes()).expect("a key at least");
    let known = more.pop().expect("a key at least");
    assert_eq!(identify(&more), identify(&keys));
    assert!(known.verifies(MESSAGE, signature) && !known.verifies(text.as_bytes(), signature));
}

fn parse_keys(json: &[u8]) -> Result<Vec<Key>, String> {
    JwkSet::parse(json).map(|set| set.keys).map_err(|error| error.to_string())
}

/// Returns the algorithms and ids of keys.
fn identify(keys: &[Key]) -> Vec<(String, Option<&str>)> {
    keys.iter().map(|key| (format!("{:?}", key.algorithm), key.id.as_deref())).collect()
}
