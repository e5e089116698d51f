//! What a negotiation gives a client to connect with: signed and self-describing, so that every replica that has the key can
//! take it (`decisions.md` 3). No I/O; the caller passes the randomness and the clock.

use std::time::Duration;

use aws_lc_rs::hmac;
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;

use crate::signalr::Hub;

/// How long a token is valid.
pub const TOKEN_TTL: Duration = Duration::from_secs(15);

/// The id that a token carries.
pub type Id = [u8; 16];

/// The layout: hub, expiry in milliseconds since 1970, id, signature.
const EXPIRY: usize = 1;
const ID: usize = 9;
const SIGNATURE: usize = 25;
const LENGTH: usize = SIGNATURE + 32;

/// Signs and verifies connection tokens.
pub struct ConnectionTokenSigner {
    key: hmac::Key,
}

impl ConnectionTokenSigner {
    /// With a key, which whoever takes them has to have.
    pub fn new(key: &[u8]) -> ConnectionTokenSigner {
        ConnectionTokenSigner { key: hmac::Key::new(hmac::HMAC_SHA256, key) }
    }

    /// A token for a hub; `now` since 1970.
    pub fn issue(&self, hub: Hub, id: Id, now: Duration) -> String {
        let mut token = Vec::with_capacity(LENGTH);
        token.push(hub as u8);
        token.extend_from_slice(&milliseconds(now + TOKEN_TTL).to_be_bytes());
        token.extend_from_slice(&id);
        let signature = hmac::sign(&self.key, &token);
        token.extend_from_slice(signature.as_ref());
        BASE64_URL_SAFE_NO_PAD.encode(token)
    }

    /// The id of a token, if it is one of ours, for this hub, and still good.
    pub fn verify(&self, token: &str, hub: Hub, now: Duration) -> Option<Id> {
        let token = BASE64_URL_SAFE_NO_PAD.decode(token).ok().filter(|token| token.len() == LENGTH)?;
        let (said, signature) = token.split_at(SIGNATURE);
        hmac::verify(&self.key, said, signature).ok()?;
        let expiry = u64::from_be_bytes(said[EXPIRY..ID].try_into().ok()?);
        let good = said[0] == hub as u8 && milliseconds(now) < expiry;
        good.then(|| said[ID..SIGNATURE].try_into().ok()).flatten()
    }
}

fn milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Duration = Duration::from_secs(1_800_000_000);

    #[test]
    fn connection_token_expires_and_is_bound_to_hub() {
        let tokens = ConnectionTokenSigner::new(b"a key");
        let token = tokens.issue(Hub::Main, [7; 16], NOW);
        assert!(token.len() > 22 && token.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte)));
        assert_eq!(tokens.verify(&token, Hub::Main, NOW), Some([7; 16]));
        assert_eq!(tokens.verify(&token, Hub::Main, NOW + TOKEN_TTL - Duration::from_millis(1)), Some([7; 16]));
        assert_eq!(tokens.verify(&token, Hub::Main, NOW + TOKEN_TTL), None);
        assert_eq!(tokens.verify(&token, Hub::Anonymous, NOW), None);
        assert_eq!(ConnectionTokenSigner::new(b"another key").verify(&token, Hub::Main, NOW), None);
    }

    #[test]
    fn connection_token_malformed_or_altered_returns_none() {
        let tokens = ConnectionTokenSigner::new(b"a key");
        let token = tokens.issue(Hub::Main, [7; 16], NOW);
        for text in ["", "nope", &token[1..], &format!("{token}A"), "AAAAAAAAAAAAAAAAAAAAAA"] {
            assert_eq!(tokens.verify(text, Hub::Main, NOW), None, "{text}");
        }
        for place in 0..token.len() {
            let mut bent = token.clone().into_bytes();
            bent[place] = if bent[place] == b'A' { b'B' } else { b'A' };
            let bent = String::from_utf8(bent).expect("ASCII");
            assert_eq!(tokens.verify(&bent, Hub::Main, NOW), None, "{place}");
        }
    }
}
