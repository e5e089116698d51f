//! Decodes the bytes of an input as a sequence of choices, so that a mutated input makes a similar structure.

/// The bytes that are not used yet. Behind the last, every byte is 0.
pub(crate) struct Choices<'a>(pub(crate) &'a [u8]);

impl<'a> Choices<'a> {
    pub(crate) fn byte(&mut self) -> u8 {
        let Some((first, rest)) = self.0.split_first() else { return 0 };
        self.0 = rest;
        *first
    }

    pub(crate) fn below(&mut self, bound: u8) -> u8 {
        self.byte() % bound
    }

    pub(crate) fn number(&mut self) -> u64 {
        let bytes = self.bytes(8);
        bytes.iter().fold(0, |number, byte| number << 8 | u64::from(*byte))
    }

    pub(crate) fn bytes(&mut self, count: usize) -> &'a [u8] {
        let (bytes, rest) = self.0.split_at(count.min(self.0.len()));
        self.0 = rest;
        bytes
    }

    /// Returns a text of at most 255 bytes of the input. Bytes that are not UTF-8 become replacement characters.
    pub(crate) fn text(&mut self) -> String {
        let count = usize::from(self.byte());
        String::from_utf8_lossy(self.bytes(count)).into_owned()
    }
}
