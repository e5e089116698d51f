//! Validates UTF-8 that is received in parts. No I/O.

/// A validator. It keeps the bytes of a character that the last part has cut, at most three.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Utf8 {
    cut: [u8; 3],
    length: u8,
}

impl Utf8 {
    /// Validates the next part. Returns `false` if the text is not UTF-8.
    pub fn accept(&mut self, mut piece: &[u8]) -> bool {
        while self.length > 0 {
            let Some((&next, rest)) = piece.split_first() else { return true };
            let held = usize::from(self.length);
            let mut character = [0; 4];
            character[..held].copy_from_slice(&self.cut[..held]);
            character[held] = next;
            match std::str::from_utf8(&character[..=held]) {
                Ok(_) => self.length = 0,
                Err(error) if error.error_len().is_none() => {
                    self.cut[held] = next;
                    self.length += 1;
                }
                Err(_) => return false,
            }
            piece = rest;
        }
        let Err(error) = std::str::from_utf8(piece) else { return true };
        if error.error_len().is_some() {
            return false;
        }
        let cut = &piece[error.valid_up_to()..];
        self.cut[..cut.len()].copy_from_slice(cut);
        self.length = cut.len() as u8;
        true
    }

    /// Returns `true` if the text so far ends with a complete character.
    pub fn is_complete(self) -> bool {
        self.length == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn utf8_validity_is_independent_of_splits() {
        let texts: [(&[u8], bool); 6] = [
            ("aé☃😀b".as_bytes(), true),
            (b"a\xff", false),
            (b"\xed\xa0\x80", false),
            (b"\xf5\x80\x80\x80", false),
            (b"\xc0\xaf", false),
            (b"\xe2\x98", false),
        ];
        for (text, valid) in texts {
            for first in 0..=text.len() {
                for second in first..=text.len() {
                    let mut state = Utf8::default();
                    let pieces = [&text[..first], &text[first..second], &text[second..]];
                    let accepted = pieces.iter().all(|piece| state.accept(piece)) && state.is_complete();
                    assert_eq!(accepted, valid, "{text:x?} split at {first} and {second}");
                }
            }
        }
    }
}
