//! Splits of an input into the pieces in which it may arrive.

use crate::random::Random;

/// Returns splits of an input: one piece, single bytes, and pieces with lengths that depend only on the input.
pub(crate) fn splits(input: &[u8]) -> Vec<Vec<&[u8]>> {
    let mut random = Random::from_bytes(input);
    let mut all = vec![vec![input], input.chunks(1).collect()];
    for longest in [input.len(), 16] {
        let mut rest = input;
        let mut pieces = Vec::new();
        while !rest.is_empty() {
            let (piece, behind) = rest.split_at(1 + random.below(longest.min(rest.len())));
            pieces.push(piece);
            rest = behind;
        }
        all.push(pieces);
    }
    all
}

/// Returns some proper prefixes of an input, the shortest first.
pub(crate) fn prefixes(input: &[u8]) -> impl Iterator<Item = &[u8]> {
    let step = input.len() / 64 + 1;
    let ends = (0..input.len()).filter(move |end| *end < 32 || end.is_multiple_of(step) || end + 32 > input.len());
    ends.map(|end| &input[..end])
}
