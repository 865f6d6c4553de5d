//! "Did you mean" (BuildKit: `util/suggest`).

/// Edits from which a word is no longer taken for a slip.
const TOO_FAR: usize = 3;

/// The option that is nearest to a word, as a hint; none when none is near or the word is an option itself.
pub(crate) fn hint<'o>(
    word: &str,
    options: impl IntoIterator<Item = &'o str>,
    prefix: &str,
) -> Option<String> {
    nearest(word, options).map(|option| format!("did you mean `{prefix}{option}`?"))
}

/// The option that is nearest to a word, without regard to case.
pub(crate) fn nearest<'o>(
    word: &str,
    options: impl IntoIterator<Item = &'o str>,
) -> Option<&'o str> {
    let word = word.to_lowercase();
    let mut best = None;
    let mut least = TOO_FAR;
    for option in options {
        let edits = distance(&word, &option.to_lowercase());
        if edits == 0 {
            return None;
        }
        if edits < least {
            least = edits;
            best = Some(option);
        }
    }
    best
}

/// Levenshtein distance in characters.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, from) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, to) in b.iter().enumerate() {
            let replaced = diagonal + usize::from(from != *to);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nearest_option_wins() {
        let options = ["FROM", "RUN", "COPY", "CMD"];
        assert_eq!(nearest("COPPY", options), Some("COPY"));
        assert_eq!(nearest("frm", options), Some("FROM"));
        assert_eq!(nearest("frobnicate", options), None);
        assert_eq!(nearest("copy", options), None);
        assert_eq!(distance("kitten", "sitting"), 3);
        assert_eq!(distance("", "abc"), 3);
    }
}
