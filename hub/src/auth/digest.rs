//! Tells tokens apart by sixteen bytes, so that none has to be kept to be recognized.

use aws_lc_rs::aead::{AES_128_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use aws_lc_rs::rand;

use super::bearer::BearerToken;

/// What stands for a token in this process.
pub(super) type Digest = [u8; 16];

/// Makes digests: the tags of AES-GCM over tokens, under a key that nobody knows. A hash would do as well, at twenty times the
/// price. No tag ever leaves the process, so one nonce does for all: who does not know the key finds no two tokens of one tag,
/// and learns nothing of it by trying.
pub(super) struct Digester(Option<LessSafeKey>);

impl Digester {
    /// With a key of its own. Where the system gives no randomness there is none, and nothing is recognized.
    pub(super) fn new() -> Digester {
        let mut key = [0; 16];
        let key = rand::fill(&mut key).and_then(|()| UnboundKey::new(&AES_128_GCM, &key));
        Digester(key.ok().map(LessSafeKey::new))
    }

    /// The digest of a token.
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
