//! Line-by-line difference of two texts. No I/O.

/// Number of unchanged lines that are shown around a change.
const CONTEXT_LINES: usize = 3;

/// Returns the removed and added lines with some unchanged ones around them, each with a sign in front.
pub(super) fn diff(before: &str, after: &str) -> String {
    let (before, after): (Vec<_>, Vec<_>) = (before.lines().collect(), after.lines().collect());
    let lines = align(&before, &after);
    let changed: Vec<_> = lines.iter().enumerate().filter(|(_, (sign, _))| *sign != ' ').map(|(at, _)| at).collect();
    let is_shown = |at: usize| changed.iter().any(|change| change.abs_diff(at) <= CONTEXT_LINES);
    let mut text = String::new();
    let mut last = None;
    for (at, (sign, line)) in lines.iter().enumerate().filter(|(at, _)| is_shown(*at)) {
        if last.is_some_and(|last: usize| last + 1 < at) {
            text.push_str("  ...\n");
        }
        text.push_str(&format!("{sign} {line}\n"));
        last = Some(at);
    }
    text
}

/// Aligns both texts by their longest common subsequence. Each line has the sign `-`, `+` or a space.
fn align<'a>(before: &[&'a str], after: &[&'a str]) -> Vec<(char, &'a str)> {
    // Length of the longest common subsequence of the lines from i and from j on.
    let mut common = vec![vec![0_usize; after.len() + 1]; before.len() + 1];
    for (i, left) in before.iter().enumerate().rev() {
        for (j, right) in after.iter().enumerate().rev() {
            common[i][j] =
                if left == right { common[i + 1][j + 1] + 1 } else { common[i + 1][j].max(common[i][j + 1]) };
        }
    }
    let (mut i, mut j, mut lines) = (0, 0, Vec::new());
    while i < before.len() || j < after.len() {
        let is_removed = j == after.len() || (i < before.len() && common[i + 1][j] >= common[i][j + 1]);
        if i < before.len() && j < after.len() && before[i] == after[j] {
            lines.push((' ', before[i]));
            (i, j) = (i + 1, j + 1);
        } else if is_removed {
            lines.push(('-', before[i]));
            i += 1;
        } else {
            lines.push(('+', after[j]));
            j += 1;
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn diff_shows_changed_lines_with_context() {
        let table = [
            ("a\nb\nc", "a\nb\nc", ""),
            ("a\nb\nc", "a\nx\nc", "  a\n- b\n+ x\n  c\n"),
            ("", "a\nb", "+ a\n+ b\n"),
            ("a\nb", "", "- a\n- b\n"),
            ("1\n2\n3\n4\n5\n6\n7\n8\n9", "0\n2\n3\n4\n5\n6\n7\n8\n9", "- 1\n+ 0\n  2\n  3\n  4\n"),
            (
                "1\n2\n3\n4\n5\n6\n7\n8\n9",
                "0\n2\n3\n4\n5\n6\n7\n8\n0",
                "- 1\n+ 0\n  2\n  3\n  4\n  ...\n  6\n  7\n  8\n- 9\n+ 0\n",
            ),
        ];
        for (before, after, expected) in table {
            assert_eq!(diff(before, after), expected, "{before:?} {after:?}");
        }
    }
}
