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

/// How many beginnings of an input are tried.
const BEGINNINGS: usize = 8;

/// Some beginnings of an input, never the whole of it: all but its last byte, and others whose lengths depend on nothing but the
/// input. Few, because there are very many inputs.
pub(crate) fn beginnings(input: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut random = Random::of(input);
    let last = input.len().checked_sub(1);
    let others = (1..BEGINNINGS).filter_map(move |_| last.map(|_| random.below(input.len())));
    last.into_iter().chain(others).map(|end| &input[..end])
}
