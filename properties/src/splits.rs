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

/// How many prefixes of an input are tried.
const PREFIXES: usize = 8;

/// Returns some proper prefixes of an input: all but its last byte, and others whose lengths depend only on the input. Few,
/// because the checks run over very many inputs.
pub(crate) fn prefixes(input: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut random = Random::from_bytes(input);
    let last = input.len().checked_sub(1);
    let others = (1..PREFIXES).filter_map(move |_| last.map(|_| random.below(input.len())));
    last.into_iter().chain(others).map(|end| &input[..end])
}
