//! Patterns of COPY: the first line is the pattern, the rest is the name. The definition is tried beside the matcher.
#![no_main]

use libfuzzer_sys::fuzz_target;
use steprun_dockerfile::glob::{has_wildcards, matches};

/// The definition takes exponential time.
const LONGEST: usize = 12;

fuzz_target!(|text: &str| {
    let (pattern, name) = text.split_once('\n').unwrap_or((text, ""));
    let matched = matches(pattern, name);
    let simple = !pattern.contains(['\\', '[', ']']) && pattern.len() <= LONGEST && name.len() <= LONGEST;
    if simple {
        let pattern: Vec<char> = pattern.chars().collect();
        let name: Vec<char> = name.chars().collect();
        assert_eq!(matched, Ok(naive(&pattern, &name)));
    }
    if !has_wildcards(pattern) && !pattern.contains('\\') {
        assert_eq!(matched, Ok(pattern == name));
    }
});

fn naive(pattern: &[char], name: &[char]) -> bool {
    match pattern.split_first() {
        None => name.is_empty(),
        Some(('*', rest)) => naive(rest, name) || name.first().is_some_and(|c| *c != '/') && naive(pattern, &name[1..]),
        Some(('?', rest)) => name.first().is_some_and(|c| *c != '/') && naive(rest, &name[1..]),
        Some((own, rest)) => name.first() == Some(own) && naive(rest, &name[1..]),
    }
}
