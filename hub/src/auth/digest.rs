//! Digests of tokens: 16 bytes that identify a token in the cache, so that no token is stored.

use aws_lc_rs::aead::{AES_128_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use aws_lc_rs::rand;

use super::bearer::BearerToken;

/// The digest of a token, valid in this process only.
pub(super) type Digest = [u8; 16];

/// Computes digests: the tags of AES-GCM over tokens, under a random key. A hash would do as well, but takes 20 times as long.
///
/// All digests use one nonce. This is safe because no tag ever leaves the process: an attacker cannot derive the key from tags,
/// and without the key cannot construct two tokens with the same tag.
pub(super) struct Digester(Option<LessSafeKey>);

impl Digester {
    /// Creates a digester with a random key. Without randomness it has no key, and [`Self::digest`] returns `None`.
    pub(super) fn new() -> Digester {
        let mut key = [0; 16];
        let key = rand::fill(&mut key).and_then(|()| UnboundKey::new(&AES_128_GCM, &key));
        Digester(key.ok().map(LessSafeKey::new))
    }

    /// Returns the digest of a token, or `None` if there is no key.
    pub(super) fn digest(&self, token: &BearerToken) -> Option<Digest> {
        let nonce = Nonce::assume_unique_for_key([0; 12]);
        let tag = self.0.as_ref()?.seal_in_place_separate_tag(nonce, Aad::from(token.reveal()), &mut []);
        tag.ok()?.as_ref().try_into().ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digest_differs_for_every_changed_token_byte() {
        let digester = Digester::new();
        let token = "header.payload.signature".repeat(40);
        let digest = digester.digest(&BearerToken::from(token.clone()));
        assert!(digest.is_some() && digest == digester.digest(&BearerToken::from(token.clone())));
        assert_ne!(digest, Digester::new().digest(&BearerToken::from(token.clone())));
        for at in 0..token.len() {
            let mut other = token.clone();
            other.replace_range(at..=at, "X");
            assert_ne!(digester.digest(&BearerToken::from(other)), digest, "{at}");
        }
        assert_ne!(digester.digest(&BearerToken::from(&token[1..])), digest);
        assert_ne!(digester.digest(&BearerToken::from(format!("{token}\0"))), digest);
    }
}
