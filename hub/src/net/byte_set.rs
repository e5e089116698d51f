//! Sets of bytes, to validate input from peers. No I/O.

/// A set of bytes. Membership is one table lookup instead of a chain of comparisons.
pub struct ByteSet([bool; 256]);

impl ByteSet {
    /// Returns the set of the ASCII letters, the digits and `marks`.
    pub const fn alphanumeric_and(marks: &[u8]) -> ByteSet {
        let mut bytes = [false; 256];
        let mut byte = 0;
        while byte < bytes.len() {
            bytes[byte] = (byte as u8).is_ascii_alphanumeric();
            byte += 1;
        }
        let mut index = 0;
        while index < marks.len() {
            bytes[marks[index] as usize] = true;
            index += 1;
        }
        ByteSet(bytes)
    }

    /// Returns the number of leading bytes of a text that are in the set.
    pub fn prefix_length(&self, text: &[u8]) -> usize {
        text.iter().position(|byte| !self.0[usize::from(*byte)]).unwrap_or(text.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prefix_length_ends_at_first_byte_outside_the_set() {
        const SET: ByteSet = ByteSet::alphanumeric_and(b"-._~");
        for (text, length) in [("", 0), ("aZ9-~", 5), ("a b", 1), ("/a", 0), ("a\u{e9}", 1)] {
            assert_eq!(SET.prefix_length(text.as_bytes()), length, "{text}");
        }
    }
}
