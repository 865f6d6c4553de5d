//! Did you mean ...?

/// The option nearest to what was written, if it is near enough to be what was meant: one edit for every three characters.
pub(crate) fn nearest<'a>(written: &str, options: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let limit = (written.chars().count() / 3).max(1);
    let near = options.into_iter().map(|option| (distance(&written.to_lowercase(), &option.to_lowercase()), option));
    near.filter(|(distance, _)| *distance <= limit).min_by_key(|(distance, _)| *distance).map(|(_, option)| option)
}

/// Edits (insert, delete, replace, swap neighbours) from one text to the other.
fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    let mut before: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=b.len()).collect();
    for i in 1..=a.len() {
        let mut row = vec![i; b.len() + 1];
        for j in 1..=b.len() {
            let replace = last[j - 1] + usize::from(a[i - 1] != b[j - 1]);
            row[j] = replace.min(last[j] + 1).min(row[j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                row[j] = row[j].min(before[j - 2] + 1);
            }
        }
        before = std::mem::replace(&mut last, row);
    }
    last[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_names_are_found_and_far_ones_are_not() {
        for (written, options, found) in [
            ("biuld", &["build", "test"][..], Some("build")),
            ("Build", &["build"], Some("build")),
            ("app.jsn", &["app.json", "app.js"], Some("app.json")),
            ("x", &["y"], Some("y")),
            ("frontend", &["back"], None),
            ("a", &[], None),
        ] {
            assert_eq!(nearest(written, options.iter().copied()), found, "{written}");
        }
    }
}
