//! How an input may arrive.

use crate::random::Random;

/// The input as one piece, byte by byte, and in pieces whose lengths depend on nothing but the input.
pub(crate) fn cuts(input: &[u8]) -> Vec<Vec<&[u8]>> {
    let mut random = Random::of(input);
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

/// Some beginnings of an input, the shortest first; it is never the whole of it.
pub(crate) fn beginnings(input: &[u8]) -> impl Iterator<Item = &[u8]> {
    let step = input.len() / 64 + 1;
    let ends = (0..input.len()).filter(move |end| *end < 32 || end.is_multiple_of(step) || end + 32 > input.len());
    ends.map(|end| &input[..end])
}
