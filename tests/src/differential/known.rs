//! The list of differences that are known and have a reason.

use std::fs;

use super::compare::Difference;
use super::corpus;

/// A line of `corpus/differences.tsv`: case, what differs, our value, theirs (each with `*` for any text), rows of docs/dockerfile.md,
/// who is right by BuildKit's documents, and why.
#[derive(Debug)]
struct Line {
    number: usize,
    patterns: [String; 4],
}

/// The list, and which of its lines were of use.
#[derive(Debug)]
pub struct Known {
    lines: Vec<Line>,
    used: Vec<bool>,
}

/// Who may be right.
const RIGHT: [&str; 3] = ["steprun", "buildah", "both"];

impl Known {
    /// Reads the list.
    ///
    /// # Panics
    /// If a line has no rows, nobody who is right, or no reason.
    pub fn read() -> Self {
        let text = fs::read_to_string(corpus().join("differences.tsv")).unwrap();
        let lines = text.lines().enumerate().filter(|(_, line)| !line.is_empty() && !line.starts_with('#'));
        let lines: Vec<Line> = lines.map(|(number, line)| Line::read(number + 1, line)).collect();
        Self { used: vec![false; lines.len()], lines }
    }

    /// Whether a difference of a case is listed.
    pub fn has(&mut self, case: &str, difference: &Difference) -> bool {
        let Difference { what, steprun, buildah } = difference;
        let values = [case, what, steprun, buildah];
        let mut listed = false;
        for (line, used) in self.lines.iter().zip(&mut self.used) {
            if line.patterns.iter().zip(values).all(|(pattern, value)| matches(pattern, value)) {
                (*used, listed) = (true, true);
            }
        }
        listed
    }

    /// The numbers of the lines whose differences did not occur.
    pub fn unused(&self) -> Vec<usize> {
        self.lines.iter().zip(&self.used).filter(|(_, used)| !**used).map(|(line, _)| line.number).collect()
    }
}

impl Line {
    fn read(number: usize, line: &str) -> Self {
        let fields: Vec<&str> = line.split('\t').collect();
        let [case, what, steprun, buildah, rows, right, why] = fields[..] else {
            panic!("differences.tsv:{number}: 7 fields are needed, here are {}", fields.len());
        };
        let are_rows = rows.split(' ').all(|row| row.parse::<u16>().is_ok_and(|row| (1..=150).contains(&row)));
        assert!(are_rows, "differences.tsv:{number}: `{rows}` are no rows of docs/dockerfile.md");
        assert!(RIGHT.contains(&right), "differences.tsv:{number}: who is right is one of {RIGHT:?}");
        assert!(!why.is_empty(), "differences.tsv:{number}: there is no reason");
        Self { number, patterns: [case, what, steprun, buildah].map(str::to_owned) }
    }
}

/// Whether a text is of a pattern, in which `*` is any text.
fn matches(pattern: &str, text: &str) -> bool {
    let Some((start, rest)) = pattern.split_once('*') else {
        return pattern == text;
    };
    let Some(text) = text.strip_prefix(start) else {
        return false;
    };
    (0..=text.len()).filter(|end| text.is_char_boundary(*end)).any(|end| matches(rest, &text[end..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns() {
        for (pattern, text) in [("a", "a"), ("*", ""), ("a*", "abc"), ("*c", "abc"), ("a*c*e", "abcde"), ("*é*", "éé")]
        {
            assert!(matches(pattern, text), "{pattern} {text}");
        }
        for (pattern, text) in [("a", "ab"), ("a*", "ba"), ("a*c", "abcd"), ("", "a")] {
            assert!(!matches(pattern, text), "{pattern} {text}");
        }
    }

    #[test]
    fn lines_that_are_of_no_use_are_known() {
        let line = |what: &str| Line::read(7, &format!("case-*\t{what}\t*\t-\t83\tsteprun\tbecause"));
        let mut known = Known { lines: vec![line("tree x"), line("tree y")], used: vec![false, false] };
        let difference = |buildah: &str| Difference {
            what: "tree x".to_owned(),
            steprun: "f".to_owned(),
            buildah: buildah.to_owned(),
        };
        assert!(!known.has("case-1", &difference("f")) && !known.has("other", &difference("-")));
        assert!(known.has("case-1", &difference("-")));
        assert_eq!(known.unused(), [7]);
    }
}
