//! Patterns of tags.

/// Whether a tag fits a pattern, in which `*` stands for any text and `?` for one character.
pub(crate) fn matches(pattern: &str, tag: &str) -> bool {
    let (pattern, tag) = (pattern.as_bytes(), tag.as_bytes());
    // Where to go on if what follows the last `*` does not fit: that `*` then takes one byte more.
    let (mut p, mut t, mut retry) = (0, 0, None);
    while t < tag.len() {
        match pattern.get(p) {
            Some(b'*') => {
                retry = Some((p + 1, t + 1));
                p += 1;
            }
            Some(wanted) if *wanted == b'?' || *wanted == tag[t] => (p, t) = (p + 1, t + 1),
            _ => {
                let Some((after, next)) = retry else { return false };
                (p, t, retry) = (after, next, Some((after, next + 1)));
            }
        }
    }
    pattern[p..].iter().all(|rest| *rest == b'*')
}

#[cfg(test)]
mod tests {
    use super::matches;

    #[test]
    fn stars_and_question_marks_match() {
        for (pattern, tag, fits) in [
            ("", "", true),
            ("", "a", false),
            ("*", "", true),
            ("*", "v1.2", true),
            ("v*", "v1.2", true),
            ("v*", "1.2", false),
            ("v?.?", "v1.2", true),
            ("v?.?", "v1.10", false),
            ("*-alpine", "1.2-alpine", true),
            ("*-alpine", "1.2-alpine3", false),
            ("*1*1*", "v1.11", true),
            ("*1*1*1", "v1.1", false),
            ("release-*-?", "release-2-x-y", true),
            ("v1", "v1.0", false),
            ("v1.0", "v1x0", false),
        ] {
            assert_eq!(matches(pattern, tag), fits, "{pattern} {tag}");
        }
    }
}
