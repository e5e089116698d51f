//! Connection tokens, which a negotiation issues and a client connects with (`decisions.md` 3). A token is signed and carries
//! its own expiry, so every replica with the key can verify it. No I/O: the caller passes the random id and the time.

use std::time::Duration;

use aws_lc_rs::hmac;
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;

use crate::signalr::Hub;

/// The lifetime of a token.
pub const TOKEN_TTL: Duration = Duration::from_secs(15);

/// The id of a token.
pub type ConnectionTokenId = [u8; 16];

/// Offsets in a token: the hub is the first byte, then follow the expiry (milliseconds since 1970), the id and the signature.
const EXPIRY_OFFSET: usize = 1;
const ID_OFFSET: usize = 9;
const SIGNATURE_OFFSET: usize = 25;
const TOKEN_BYTES: usize = SIGNATURE_OFFSET + 32;

/// Signs and verifies connection tokens.
pub struct ConnectionTokenSigner {
    key: hmac::Key,
}

impl ConnectionTokenSigner {
    /// Creates a signer. Tokens are valid at every signer with the same key.
    pub fn new(key: &[u8]) -> ConnectionTokenSigner {
        ConnectionTokenSigner { key: hmac::Key::new(hmac::HMAC_SHA256, key) }
    }

    /// Issues a token for a hub. `now` is the time since 1970.
    pub fn issue(&self, hub: Hub, id: ConnectionTokenId, now: Duration) -> String {
        let mut token = Vec::with_capacity(TOKEN_BYTES);
        token.push(hub as u8);
        token.extend_from_slice(&milliseconds(now + TOKEN_TTL).to_be_bytes());
        token.extend_from_slice(&id);
        let signature = hmac::sign(&self.key, &token);
        token.extend_from_slice(signature.as_ref());
        BASE64_URL_SAFE_NO_PAD.encode(token)
    }

    /// Returns the id of a token, or `None` if it is forged, expired or for the other hub. `now` is the time since 1970.
    pub fn verify(&self, token: &str, hub: Hub, now: Duration) -> Option<ConnectionTokenId> {
        let token = BASE64_URL_SAFE_NO_PAD.decode(token).ok().filter(|token| token.len() == TOKEN_BYTES)?;
        let (signed, signature) = token.split_at(SIGNATURE_OFFSET);
        hmac::verify(&self.key, signed, signature).ok()?;
        let expiry = u64::from_be_bytes(signed[EXPIRY_OFFSET..ID_OFFSET].try_into().ok()?);
        let is_valid = signed[0] == hub as u8 && milliseconds(now) < expiry;
        is_valid.then(|| signed[ID_OFFSET..SIGNATURE_OFFSET].try_into().ok()).flatten()
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
        for index in 0..token.len() {
            let mut altered = token.clone().into_bytes();
            altered[index] = if altered[index] == b'A' { b'B' } else { b'A' };
            let altered = String::from_utf8(altered).expect("ASCII");
            assert_eq!(tokens.verify(&altered, Hub::Main, NOW), None, "{index}");
        }
    }
}
