//! Checks tokens (JWT) and their claims.

use std::sync::LazyLock;
use std::time::{SystemTime, UNIX_EPOCH};

use aws_lc_rs::hmac;
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD as BASE64;
use notification_hub::auth::bearer::BearerToken;
use notification_hub::auth::claims::ValidationRules;
use notification_hub::auth::keys::key::Key;
use notification_hub::auth::{Claims, Policy, Rejection, Verifier};

const SECRET: &[u8] = b"a secret of more than thirty-two bytes";
const HEADER: &str = r#"{"alg":"HS256","typ":"at+jwt","kid":"x"}"#;

/// A public key of another algorithm, for which no input has a valid signature.
const PUBLIC_KEY: &str = "-----BEGIN PUBLIC KEY-----\n\
    MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE8zKbOFPynVXSk65vRA32XgJVstra\n\
    /j2/PgCtYd4ZzBv3jObtcxzY9B0O2krNffrGJ5RcLcCtaj1Wa8Zf884rgA==\n\
    -----END PUBLIC KEY-----\n";

/// Checks that only tokens with a valid signature are accepted, and that the claims of an accepted token are those of its
/// payload, within their bounds.
pub(crate) fn check(input: &[u8]) {
    let rules = ValidationRules { clock_skew: 300.0, ..ValidationRules::default() };
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64();
    let claims = Claims::read(input, &rules, None, now);
    if let Ok(claims) = &claims {
        assert!(claims.valid_until.is_finite() && now <= claims.valid_until, "{}", claims.valid_until);
        assert!(claims.organizations.is_sorted_by(|one, next| one < next));
        // Shortly after `valid_until` it is expired.
        let expired = Claims::read(input, &rules, None, claims.valid_until + 1.0 + claims.valid_until.abs() / 1e9);
        assert_eq!(expired, Err(Rejection::Expired));
    }
    let signed = sign_token(HEADER, input);
    assert_eq!(verify(&signed), claims.map(drop), "{signed}");

    let text = String::from_utf8_lossy(input);
    for token in
        [text.clone().into_owned(), format!("{signed}{text}"), format!("{text}{signed}"), sign_with_header(input)]
    {
        if verify(&token).is_ok() {
            let (message, signed) = token.rsplit_once('.').expect("three parts");
            assert_eq!(sign(message), signed, "{token}");
        }
    }
}

/// Returns a token with the input as its header, valid claims and a valid signature.
fn sign_with_header(input: &[u8]) -> String {
    sign_token(&String::from_utf8_lossy(input), br#"{"exp":4102444800,"scope":"api","amr":"external"}"#)
}

fn sign_token(header: &str, payload: &[u8]) -> String {
    let message = format!("{}.{}", BASE64.encode(header), BASE64.encode(payload));
    let signature = sign(&message);
    format!("{message}.{signature}")
}

fn sign(message: &str) -> String {
    static KEY: LazyLock<hmac::Key> = LazyLock::new(|| hmac::Key::new(hmac::HMAC_SHA256, SECRET));
    BASE64.encode(hmac::sign(&KEY, message.as_bytes()))
}

/// Verifies a token for both policies, twice each, since results are cached. A token that lacks only a scope counts as valid.
fn verify(token: &str) -> Result<(), Rejection> {
    static VERIFIER: LazyLock<Verifier> = LazyLock::new(|| {
        let keys = vec![
            Key::from_pem(PUBLIC_KEY.as_bytes()).expect("a public key"),
            Key::from_secret(SECRET).expect("a secret"),
        ];
        Verifier::new(ValidationRules { clock_skew: 300.0, ..ValidationRules::default() }, keys)
    });
    let verifier = &*VERIFIER;
    let bearer = BearerToken::from(token);
    verifier.has_key_for(&bearer);
    let result = verifier.verify(&bearer, Policy::Application).map(drop);
    let again = verifier.verify(&bearer, Policy::Application).map(drop);
    assert_eq!(again, result, "the cached result equals the first");
    let internal = verifier.verify(&bearer, Policy::Internal).map(drop);
    match (result, internal) {
        (Err(Rejection::Scope), internal) => internal.or(Ok(())),
        (result, _) => result,
    }
}
