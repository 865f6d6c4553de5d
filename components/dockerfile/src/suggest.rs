//! "Did you mean" (BuildKit: `util/suggest`; here a swap of letters is one edit, and short words must be nearer).

/// Edits from which a word is no longer taken for a slip.
const TOO_FAR: usize = 3;

/// The option that is nearest to a word, as a hint; none when none is near or the word is an option itself.
pub(crate) fn hint<'o>(word: &str, options: impl IntoIterator<Item = &'o str>, prefix: &str) -> Option<String> {
    nearest(word, options).map(|option| format!("did you mean `{prefix}{option}`?"))
}

/// The option that is nearest to a word, without regard to case; none when none is near or the word is an option itself.
pub fn nearest<'o>(word: &str, options: impl IntoIterator<Item = &'o str>) -> Option<&'o str> {
    let word = word.to_lowercase();
    let mut best = None;
    let mut least = TOO_FAR;
    for option in options {
        let edits = distance(&word, &option.to_lowercase());
        if edits == 0 {
            return None;
        }
        // Two edits make any three letters of any others.
        let longer = word.chars().count().max(option.chars().count());
        if edits < least && edits * 2 <= longer {
            least = edits;
            best = Some(option);
        }
    }
    best
}

/// Insertions, deletions, replacements and swaps of neighbours that make one text of another, in characters.
fn distance(a: &str, b: &str) -> usize {
    let a: Vec<char> = a.chars().collect();
    let b: Vec<char> = b.chars().collect();
    let mut rows = vec![vec![0; b.len() + 1]; a.len() + 1];
    for i in 0..=a.len() {
        for j in 0..=b.len() {
            rows[i][j] = match (i, j) {
                (0, edits) | (edits, 0) => edits,
                _ => {
                    let replaced = rows[i - 1][j - 1] + usize::from(a[i - 1] != b[j - 1]);
                    let edits = replaced.min(rows[i - 1][j] + 1).min(rows[i][j - 1] + 1);
                    let swapped = i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1];
                    if swapped { edits.min(rows[i - 2][j - 2] + 1) } else { edits }
                }
            };
        }
    }
    rows[a.len()][b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nearest_option_wins() {
        let options = ["FROM", "RUN", "COPY", "CMD"];
        assert_eq!(nearest("COPPY", options), Some("COPY"));
        assert_eq!(nearest("frm", options), Some("FROM"));
        assert_eq!(nearest("rnu", options), Some("RUN"));
        assert_eq!(nearest("EOF", ["ENV"]), None);
        assert_eq!(nearest("frobnicate", options), None);
        assert_eq!(nearest("copy", options), None);
        assert_eq!(distance("kitten", "sitting"), 3);
        assert_eq!(distance("", "abc"), 3);
    }
}
