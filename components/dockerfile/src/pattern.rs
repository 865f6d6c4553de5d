//! Patterns of `${x#p}`, `${x%p}` and `${x/p/r}`: `*`, `?` and `\` escapes, no brackets.
//!
//! BuildKit makes regular expressions of them, whose `.` doesn't match a line end; nor do `*` and `?` here.

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Token {
    Literal(char),
    One,
    Many,
}

/// A pattern over characters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Pattern(Vec<Token>);

impl Pattern {
    /// None when the text escapes a character that can't be escaped. `\}` and `\/` can: without the escape they would end the
    /// substitution.
    pub(crate) fn new(text: &str) -> Option<Self> {
        let mut tokens = Vec::new();
        let mut chars = text.chars();
        while let Some(next) = chars.next() {
            tokens.push(match next {
                '*' => Token::Many,
                '?' => Token::One,
                '\\' => match chars.next()? {
                    escaped @ ('*' | '?' | '\\' | '}' | '/') => Token::Literal(escaped),
                    _ => return None,
                },
                other => Token::Literal(other),
            });
        }
        Some(Self(tokens))
    }

    /// Takes the shortest or longest match away from the start.
    pub(crate) fn trim_start(&self, value: &str, longest: bool) -> String {
        let chars: Vec<char> = value.chars().collect();
        let end = ends(&self.0, &chars, longest).unwrap_or(0);
        chars[end..].iter().collect()
    }

    /// Takes the shortest or longest match away from the end.
    pub(crate) fn trim_end(&self, value: &str, longest: bool) -> String {
        let tokens: Vec<Token> = self.0.iter().rev().copied().collect();
        let chars: Vec<char> = value.chars().rev().collect();
        let end = ends(&tokens, &chars, longest).unwrap_or(0);
        chars[end..].iter().rev().collect()
    }

    /// Replaces the first match, or all that don't overlap; each is the longest at the first place that matches.
    pub(crate) fn replace(&self, value: &str, replacement: &str, all: bool) -> String {
        let chars: Vec<char> = value.chars().collect();
        let mut out = String::new();
        let mut at = 0;
        // End of the last match: an empty match right behind it doesn't count.
        let mut last = None;
        while at <= chars.len() {
            let end = ends(&self.0, &chars[at..], true).map(|length| at + length);
            let end = end.filter(|&end| end > at || last != Some(at));
            if let Some(end) = end {
                out.push_str(replacement);
                last = Some(end);
                if !all {
                    out.extend(&chars[end..]);
                    return out;
                }
            }
            match end {
                Some(end) if end > at => at = end,
                _ => {
                    out.extend(chars.get(at));
                    at += 1;
                }
            }
        }
        out
    }
}

/// Length of the shortest or longest match at the start.
fn ends(tokens: &[Token], chars: &[char], longest: bool) -> Option<usize> {
    let mut states = vec![false; tokens.len() + 1];
    states[0] = true;
    let mut found = None;
    for at in 0..=chars.len() {
        // A star can stand for nothing.
        for (index, token) in tokens.iter().enumerate() {
            if states[index] && *token == Token::Many {
                states[index + 1] = true;
            }
        }
        if states[tokens.len()] {
            found = Some(at);
            if !longest {
                break;
            }
        }
        let Some(&next) = chars.get(at) else { break };
        states = step(tokens, &states, next);
        if !states.contains(&true) {
            break;
        }
    }
    found
}

fn step(tokens: &[Token], states: &[bool], next: char) -> Vec<bool> {
    let mut after = vec![false; states.len()];
    for (index, token) in tokens.iter().enumerate().filter(|&(index, _)| states[index]) {
        match token {
            Token::Many if next != '\n' => after[index] = true,
            Token::One if next != '\n' => after[index + 1] = true,
            Token::Literal(own) if *own == next => after[index + 1] = true,
            _ => {}
        }
    }
    after
}
