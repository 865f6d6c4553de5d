//! `WWW-Authenticate` (RFC 9110, section 11.6.1).

use std::collections::BTreeMap;

use reqwest::header::{HeaderMap, WWW_AUTHENTICATE};

/// One way to authenticate that a server offers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Challenge {
    /// The scheme in lower case: `bearer`, `basic`.
    pub(super) scheme: String,
    /// The parameters; names in lower case.
    pub(super) parameters: BTreeMap<String, String>,
}

/// All challenges of an answer. What does not parse is left out.
pub(super) fn challenges(headers: &HeaderMap) -> Vec<Challenge> {
    headers.get_all(WWW_AUTHENTICATE).iter().filter_map(|value| value.to_str().ok()).flat_map(parse).collect()
}

/// Parses `Scheme k=v, k="v", Scheme2 ...`: a word that no `=` follows begins the next challenge.
fn parse(mut rest: &str) -> Vec<Challenge> {
    let mut found: Vec<Challenge> = Vec::new();
    loop {
        rest = rest.trim_start_matches([' ', '\t', ',']);
        let end = rest.find(|c| !is_token(c)).unwrap_or(rest.len());
        let (word, after) = rest.split_at(end);
        if word.is_empty() {
            return found;
        }
        let value = after.trim_start().strip_prefix('=').map(str::trim_start);
        match (value, found.last_mut()) {
            (Some(value), Some(challenge)) => {
                let (value, after) = parse_value(value);
                let name = word.to_ascii_lowercase();
                challenge.parameters.insert(name, value);
                rest = after;
            }
            (Some(_), None) => return found,
            (None, _) => {
                found.push(Challenge { scheme: word.to_ascii_lowercase(), parameters: BTreeMap::new() });
                rest = after;
            }
        }
    }
}

/// A token or a quoted string, and what follows.
fn parse_value(text: &str) -> (String, &str) {
    let Some(quoted) = text.strip_prefix('"') else {
        let end = text.find([',', ' ', '\t']).unwrap_or(text.len());
        return (text[..end].to_owned(), &text[end..]);
    };
    let mut value = String::new();
    let mut chars = quoted.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => return (value, &quoted[at + 1..]),
            '\\' => value.extend(chars.next().map(|(_, escaped)| escaped)),
            c => value.push(c),
        }
    }
    (value, "")
}

/// A `tchar` (RFC 9110, section 5.6.2).
fn is_token(c: char) -> bool {
    c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn several_challenges_in_one_header() {
        let found = parse(
            r#"Bearer realm="https://auth.x/token",service=reg.x, scope="repository:a/b:pull,push",Basic realm="a \"b\"", Negotiate"#,
        );
        let schemes: Vec<_> = found.iter().map(|c| c.scheme.as_str()).collect();
        assert_eq!(schemes, ["bearer", "basic", "negotiate"]);
        let bearer = &found[0].parameters;
        assert_eq!(bearer["realm"], "https://auth.x/token");
        assert_eq!(bearer["service"], "reg.x");
        assert_eq!(bearer["scope"], "repository:a/b:pull,push");
        assert_eq!(found[1].parameters["realm"], "a \"b\"");
    }

    proptest! {
        #[test]
        fn no_header_panics(text in "\\PC*") {
            parse(&text);
        }

        #[test]
        fn quoted_values_come_back(value in "[ -~]*") {
            let quoted = value.replace('\\', "\\\\").replace('"', "\\\"");
            let found = parse(&format!("Bearer realm=\"{quoted}\", x=1"));
            prop_assert_eq!(&found[0].parameters["realm"], &value);
            prop_assert_eq!(&found[0].parameters["x"], "1");
        }
    }
}
