//! `.dockerignore` (moby/patternmatcher and its `ignorefile`), and the patterns of `--exclude`.
//!
//! Known differences: `\d`, `\w` and the like stand for the letter, and `^` for itself, as in `filepath.Match`; moby makes a regular
//! expression of a pattern, in which they are classes and an anchor.

use std::borrow::Cow;

use crate::diagnostic::Diagnostic;
use crate::glob::{BadPattern, Chars, Run, Token};
use crate::span::Span;

/// Patterns in order; the last one that matches a path or one of its parents decides.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Matcher {
    rules: Vec<Rule>,
}

/// One pattern.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule {
    /// The pattern, cleaned, without `!`.
    pub pattern: String,
    /// Whether it takes paths back in (`!`).
    pub negated: bool,
    /// Where it stands in the text.
    pub span: Span,
    shape: Shape,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Shape {
    /// The pattern has no meaning but itself.
    Exact,
    Tokens {
        tokens: Vec<Token>,
        /// What must stand in each text that matches: the longest part of the pattern that has no other meaning. Most texts lack it, and
        /// need no closer look.
        part: String,
    },
}

impl Matcher {
    /// Reads the text of a `.dockerignore` file. Lines with `#` in the first column are comments; white space around patterns and
    /// a leading `/` don't count.
    ///
    /// # Errors
    ///
    /// `!` alone, and patterns that `filepath.Match` doesn't take.
    pub fn new(text: &str) -> Result<Self, Diagnostic> {
        let mut matcher = Self::default();
        let mut start = 0;
        for full in text.split_inclusive('\n') {
            let line = if start == 0 { full.trim_start_matches('\u{feff}') } else { full };
            let at = start + full.len() - line.len() + (line.len() - line.trim_start().len());
            start += full.len();
            let pattern = line.trim();
            if !line.starts_with('#') && !pattern.is_empty() {
                matcher.rules.push(Rule::new(pattern, Span::new(at, at + pattern.len()))?);
            }
        }
        Ok(matcher)
    }

    /// Patterns as they come: those of `COPY --exclude`.
    ///
    /// # Errors
    ///
    /// As [`Matcher::new`]; the place is that of the word.
    pub fn from_words(words: &[crate::Word]) -> Result<Self, Diagnostic> {
        let filled = words.iter().filter(|word| !word.raw.trim().is_empty());
        let rules = filled.map(|word| Rule::new(word.raw.trim(), word.span)).collect::<Result<_, _>>()?;
        Ok(Self { rules })
    }

    /// Whether there is nothing to match.
    pub fn is_empty(&self) -> bool {
        self.rules.is_empty()
    }

    /// The patterns in order.
    pub fn rules(&self) -> &[Rule] {
        &self.rules
    }

    /// Whether a path, relative to the root and with `/` between its parts, is left out. The root itself never is.
    pub fn matches(&self, path: &str) -> bool {
        self.excluded_by(path).is_some()
    }

    /// The pattern because of which a path is left out.
    pub fn excluded_by(&self, path: &str) -> Option<&Rule> {
        if self.rules.is_empty() {
            return None;
        }
        let path = relative(path)?;
        let mut deciding: Option<&Rule> = None;
        for rule in &self.rules {
            // A pattern that wouldn't change anything needn't be tried.
            if rule.negated == deciding.is_some() && rule.matches_or_parent(&path) {
                deciding = (!rule.negated).then_some(rule);
            }
        }
        deciding
    }

    /// Whether something below a directory can be taken in. True of directories that aren't left out; of others when a later `!`
    /// pattern could match below them. Never false when there is something; may be true when there is nothing.
    pub fn may_contain_included(&self, directory: &str) -> bool {
        let Some(path) = relative(directory) else {
            return true;
        };
        if !self.matches(&path) {
            return true;
        }
        // What is below is matched by the patterns that match the directory; only those behind the last such one can undo it.
        let last = self.rules.iter().rposition(|rule| !rule.negated && rule.matches_or_parent(&path));
        let below = format!("{path}/");
        self.rules
            .iter()
            .skip(last.map_or(0, |last| last + 1))
            .any(|rule| rule.negated && rule.could_match_below(&below))
    }
}

impl Rule {
    fn new(text: &str, span: Span) -> Result<Self, Diagnostic> {
        let (negated, pattern) = text.strip_prefix('!').map_or((false, text), |rest| (true, rest.trim()));
        if pattern.is_empty() {
            let error = Diagnostic::new(span, "illegal exclusion pattern: \"!\"");
            return Err(error.with_hint("name what is to be taken back in, right after `!`"));
        }
        let cleaned = clean(pattern);
        let pattern = match cleaned.strip_prefix('/') {
            Some(rest) if !rest.is_empty() => rest.to_owned(),
            _ => cleaned,
        };
        let shape = shape(&pattern).map_err(|error| Diagnostic::new(span, format!("{error}: {pattern}")))?;
        Ok(Self { pattern, negated, span, shape })
    }

    /// Whether a path or one of its parents matches, in one pass.
    fn matches_or_parent(&self, path: &str) -> bool {
        let Shape::Tokens { tokens, part } = &self.shape else {
            return path.strip_prefix(&self.pattern).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
        };
        if !path.contains(part.as_str()) {
            return false;
        }
        let mut run = Run::new(tokens);
        for next in path.chars() {
            if next == '/' && run.done() {
                return true;
            }
            if !run.step(next) {
                return false;
            }
        }
        run.done()
    }

    fn could_match_below(&self, directory: &str) -> bool {
        match &self.shape {
            Shape::Exact => self.pattern.starts_with(directory),
            Shape::Tokens { tokens, .. } => Run::over(tokens, directory).could_go_on(),
        }
    }
}

/// Compiles a cleaned pattern.
fn shape(pattern: &str) -> Result<Shape, BadPattern> {
    let mut tokens = Vec::new();
    let mut chars = Chars::new(pattern);
    // `**name` is anything that ends in `name`, but only when nothing else in it has a meaning.
    let mut plain_suffix = false;
    while let Some(next) = chars.next() {
        let token = if next == '*' && chars.next_if('*') {
            let slash = chars.next_if('/');
            plain_suffix |= tokens.is_empty() && !slash;
            if chars.at_end() { Token::All } else { Token::Directories }
        } else {
            chars.token(next)?
        };
        tokens.push(token);
    }
    let literal = |token: &Token| matches!(token, Token::Literal(_));
    if tokens.iter().all(literal) && !pattern.contains('\\') {
        return Ok(Shape::Exact);
    }
    if plain_suffix && tokens.iter().skip(1).all(literal) && !pattern.contains(['\\', ']']) {
        tokens[0] = Token::All;
    }
    let part = longest_literal(&tokens);
    Ok(Shape::Tokens { tokens, part })
}

/// The longest run of characters that stand for themselves.
fn longest_literal(tokens: &[Token]) -> String {
    let literals = |run: &[Token]| -> String {
        let own = |token: &Token| if let Token::Literal(own) = token { Some(*own) } else { None };
        run.iter().filter_map(own).collect()
    };
    let runs = tokens.split(|token| !matches!(token, Token::Literal(_)));
    runs.map(literals).max_by_key(String::len).unwrap_or_default()
}

/// A path without `.`, `..`, doubled slashes and a leading `/`; none for the root.
fn relative(path: &str) -> Option<Cow<'_, str>> {
    if !path.split('/').any(|part| matches!(part, "" | "." | "..")) {
        return Some(Cow::Borrowed(path));
    }
    let cleaned = clean(path);
    let path = cleaned.trim_start_matches('/');
    (!path.is_empty() && path != ".").then(|| Cow::Owned(path.to_owned()))
}

/// The shortest equal path, as Go's `path.Clean` gives it.
fn clean(path: &str) -> String {
    let rooted = path.starts_with('/');
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." if parts.last().is_some_and(|last| *last != "..") => {
                parts.pop();
            }
            ".." if rooted => {}
            other => parts.push(other),
        }
    }
    let joined = parts.join("/");
    match (rooted, joined.is_empty()) {
        (true, _) => format!("/{joined}"),
        (false, true) => ".".to_owned(),
        (false, false) => joined,
    }
}

#[cfg(test)]
#[path = "ignore_tests.rs"]
mod tests;
