//! Variables, quotes and escapes in words, as BuildKit's shell lexer has them (`frontend/dockerfile/shell/lex.go`).
//!
//! Known difference: in `${x//pattern/replacement}` the replacement is taken as it is. BuildKit hands it to Go's
//! `ReplaceAllString`, which gives `$0` and `$1` a meaning that its own documentation doesn't mention.

use crate::pattern::Pattern;
use std::iter::Peekable;
use std::str::Chars;

/// Substitutions within substitutions at most; a limit of ours, so that hostile text can't exhaust the stack.
const MAX_DEPTH: usize = 64;

/// Result of an expansion.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Expanded {
    /// The text with quotes and escapes removed and variables replaced.
    pub value: String,
    /// Variables that `lookup` didn't know, each once, in order; also those that had a default.
    pub undefined: Vec<String>,
}

/// Why a word can't be expanded.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ExpandError {
    /// `'` or `"` without its partner.
    #[error("unexpected end of statement while looking for matching {0}-quote")]
    Quote(&'static str),
    /// `${` without `}`.
    #[error("syntax error: missing '}}'")]
    MissingBrace,
    /// `${x/pattern` without its second slash.
    #[error("syntax error: missing '/' in ${{}}")]
    MissingSlash,
    /// `${}`, `${{` or `${:`.
    #[error("syntax error: bad substitution")]
    BadSubstitution,
    /// `${x=y}` and others that aren't supported.
    #[error("unsupported modifier ({0}) in substitution")]
    Modifier(String),
    /// `${x?message}` or `${x:?message}` of a variable that isn't set.
    #[error("{name}: {message}")]
    Required {
        /// The variable.
        name: String,
        /// The author's message, or a standard one.
        message: String,
    },
    /// A pattern that ends in `\` or escapes a character that needs none.
    #[error("invalid pattern ({0}) in substitution")]
    Pattern(String),
    /// Too many substitutions within each other.
    #[error("more than {MAX_DEPTH} substitutions within each other")]
    Depth,
}

/// Finds the value of a variable; none when it isn't set.
pub type Lookup<'a> = &'a dyn Fn(&str) -> Option<String>;

/// Expands one word to one string, as in all instructions that BuildKit expands. White space is kept.
///
/// # Errors
///
/// See [`ExpandError`].
pub fn expand(raw: &str, escape: char, lookup: Lookup<'_>) -> Result<Expanded, ExpandError> {
    let (value, _, undefined) = Lexer::new(raw, escape, lookup, Options::default()).run()?;
    Ok(Expanded { value, undefined })
}

/// Expands a heredoc body of COPY or ADD: quotes have no meaning there, escapes have.
///
/// # Errors
///
/// See [`ExpandError`].
pub fn expand_heredoc(raw: &str, escape: char, lookup: Lookup<'_>) -> Result<Expanded, ExpandError> {
    let options = Options { plain_quotes: true, ..Options::default() };
    let (value, _, undefined) = Lexer::new(raw, escape, lookup, options).run()?;
    Ok(Expanded { value, undefined })
}

/// Expands a text and splits it at white space that isn't quoted; values of variables are split too, as EXPOSE wants it.
///
/// # Errors
///
/// See [`ExpandError`].
pub fn words(raw: &str, escape: char, lookup: Lookup<'_>) -> Result<Vec<String>, ExpandError> {
    let (_, words, _) = Lexer::new(raw, escape, lookup, Options::default()).run()?;
    Ok(words)
}

/// Splits a text as [`words`] does without changing anything in the words.
pub(crate) fn raw_words(raw: &str) -> Result<Vec<String>, ExpandError> {
    let options = Options { keep_quotes: true, keep_escapes: true, keep_unset: true, plain_quotes: false };
    let (_, words, _) = Lexer::new(raw, '\\', &|_| None, options).run()?;
    Ok(words)
}

/// Splits a text as [`words`] does, keeping variables and, when asked, quotes.
pub(crate) fn literal_words(raw: &str, keep_quotes: bool) -> Result<Vec<String>, ExpandError> {
    let options = Options { keep_quotes, keep_unset: true, ..Options::default() };
    let (_, words, _) = Lexer::new(raw, '\\', &|_| None, options).run()?;
    Ok(words)
}

#[derive(Debug, Clone, Copy, Default)]
struct Options {
    keep_quotes: bool,
    keep_escapes: bool,
    keep_unset: bool,
    plain_quotes: bool,
}

struct Lexer<'a> {
    chars: Peekable<Chars<'a>>,
    escape: char,
    lookup: Lookup<'a>,
    options: Options,
    undefined: Vec<String>,
    depth: usize,
}

/// Value, words, undefined variables.
type Outcome = (String, Vec<String>, Vec<String>);

impl<'a> Lexer<'a> {
    fn new(raw: &'a str, escape: char, lookup: Lookup<'a>, options: Options) -> Self {
        Self { chars: raw.chars().peekable(), escape, lookup, options, undefined: Vec::new(), depth: 0 }
    }

    fn run(mut self) -> Result<Outcome, ExpandError> {
        let keep_escapes = self.options.keep_escapes;
        // Without a character to stop at, the text always ends well.
        let (value, words) = self.until(None, keep_escapes)?;
        Ok((value, words.finish(), self.undefined))
    }

    /// Reads up to a character, which is consumed, or to the end.
    fn until(&mut self, stop: Option<char>, keep_escapes: bool) -> Result<(String, Words), ExpandError> {
        if self.depth == MAX_DEPTH {
            return Err(ExpandError::Depth);
        }
        self.depth += 1;
        let outer = std::mem::replace(&mut self.options.keep_escapes, keep_escapes);
        let result = self.read(stop);
        self.options.keep_escapes = outer;
        self.depth -= 1;
        result
    }

    fn read(&mut self, stop: Option<char>) -> Result<(String, Words), ExpandError> {
        let mut value = String::new();
        let mut words = Words::default();
        while let Some(&next) = self.chars.peek() {
            if stop == Some(next) {
                self.chars.next();
                return Ok((value, words));
            }
            match next {
                '$' => {
                    let text = self.dollar()?;
                    words.push_split(&text);
                    value.push_str(&text);
                }
                '\'' | '"' if !self.options.plain_quotes => {
                    let text = if next == '"' { self.double_quoted()? } else { self.single_quoted()? };
                    words.push_whole(&text);
                    value.push_str(&text);
                }
                '<' if !self.options.plain_quotes => {
                    let text = self.angle();
                    words.push_whole(&text);
                    value.push_str(&text);
                }
                _ => self.plain(&mut value, &mut words),
            }
        }
        match stop {
            Some(_) => Err(ExpandError::MissingBrace),
            None => Ok((value, words)),
        }
    }

    /// A character without meaning, or an escape and what it escapes; an escape at the end is dropped.
    fn plain(&mut self, value: &mut String, words: &mut Words) {
        let Some(next) = self.chars.next() else {
            return;
        };
        if next != self.escape {
            value.push(next);
            words.push_char(next);
            return;
        }
        if self.options.keep_escapes {
            value.push(next);
            words.push_whole(next.encode_utf8(&mut [0; 4]));
        }
        if let Some(escaped) = self.chars.next() {
            value.push(escaped);
            words.push_whole(escaped.encode_utf8(&mut [0; 4]));
        }
    }

    fn single_quoted(&mut self) -> Result<String, ExpandError> {
        let mut text = self.quote_mark();
        loop {
            match self.chars.next() {
                None => return Err(ExpandError::Quote("single")),
                Some('\'') => break,
                Some(other) => text.push(other),
            }
        }
        if self.options.keep_quotes {
            text.push('\'');
        }
        Ok(text)
    }

    fn double_quoted(&mut self) -> Result<String, ExpandError> {
        let mut text = self.quote_mark();
        while let Some(&next) = self.chars.peek() {
            match next {
                '"' => {
                    self.chars.next();
                    if self.options.keep_quotes {
                        text.push('"');
                    }
                    return Ok(text);
                }
                '$' => text.push_str(&self.dollar()?),
                _ => self.double_quoted_char(&mut text),
            }
        }
        Err(ExpandError::Quote("double"))
    }

    /// In double quotes the escape only escapes `"`, `$` and itself; else it stands for itself.
    fn double_quoted_char(&mut self, text: &mut String) {
        let Some(mut next) = self.chars.next() else {
            return;
        };
        if next == self.escape {
            if self.options.keep_escapes {
                text.push(next);
            }
            match self.chars.peek() {
                None => return,
                Some(&escaped) if escaped == '"' || escaped == '$' || escaped == self.escape => {
                    self.chars.next();
                    next = escaped;
                }
                Some(_) => {}
            }
        }
        text.push(next);
    }

    /// Consumes an opening quote and gives it when quotes are kept.
    fn quote_mark(&mut self) -> String {
        let mark = self.chars.next();
        if self.options.keep_quotes { mark.into_iter().collect() } else { String::new() }
    }

    /// `<<` and blanks behind it belong to one word, so that `<< EOF` is found as a heredoc.
    fn angle(&mut self) -> String {
        self.chars.next();
        let mut text = String::from("<");
        if self.chars.next_if_eq(&'<').is_some() {
            text.push('<');
            while let Some(blank) = self.chars.next_if(|c| c.is_whitespace()) {
                text.push(blank);
            }
        }
        text
    }

    fn dollar(&mut self) -> Result<String, ExpandError> {
        self.chars.next();
        if self.chars.next_if_eq(&'{').is_some() {
            return self.braces();
        }
        let name = self.name();
        if name.is_empty() {
            return Ok("$".to_owned());
        }
        match self.get(&name) {
            None if self.options.keep_unset => Ok(format!("${name}")),
            value => Ok(value.unwrap_or_default()),
        }
    }

    /// What follows `${`.
    fn braces(&mut self) -> Result<String, ExpandError> {
        match self.chars.peek() {
            None => return Err(ExpandError::MissingBrace),
            Some('{' | '}' | ':') => return Err(ExpandError::BadSubstitution),
            Some(_) => {}
        }
        let name = self.name();
        match self.chars.next() {
            None => Err(ExpandError::MissingBrace),
            Some('}') => match self.get(&name) {
                None if self.options.keep_unset => Ok(format!("${{{name}}}")),
                value => Ok(value.unwrap_or_default()),
            },
            Some(':') => match self.chars.next() {
                Some(modifier @ ('-' | '+' | '?')) => self.conditional(&name, modifier, true),
                None => Err(ExpandError::MissingBrace),
                Some(other) => Err(ExpandError::Modifier(format!(":{other}"))),
            },
            Some(modifier @ ('-' | '+' | '?')) => self.conditional(&name, modifier, false),
            Some(side @ ('#' | '%')) => self.trim(&name, side),
            Some('/') => self.replace(&name),
            Some(other) => Err(ExpandError::Modifier(other.to_string())),
        }
    }

    /// `${name-word}`, `${name+word}`, `${name?word}`; with a colon an empty value counts as unset.
    fn conditional(&mut self, name: &str, modifier: char, colon: bool) -> Result<String, ExpandError> {
        let (word, _) = self.until(Some('}'), false)?;
        let value = self.get(name);
        if value.is_none() && self.options.keep_unset {
            let colon = if colon { ":" } else { "" };
            return Ok(format!("${{{name}{colon}{modifier}{word}}}"));
        }
        let set = value.is_some();
        let present = value.filter(|value| !(colon && value.is_empty()));
        match (modifier, present) {
            ('-', present) => Ok(present.unwrap_or(word)),
            ('+', Some(_)) => Ok(word),
            ('?', Some(value)) => Ok(value),
            ('?', None) => {
                let state = if set { "empty" } else { "unset" };
                let message = if word.is_empty() { format!("is not allowed to be {state}") } else { word };
                Err(ExpandError::Required { name: name.to_owned(), message })
            }
            _ => Ok(String::new()),
        }
    }

    /// `${name#pattern}`, `##`, `%`, `%%`.
    fn trim(&mut self, name: &str, side: char) -> Result<String, ExpandError> {
        let (word, _) = self.until(Some('}'), true)?;
        let Some(value) = self.get(name) else {
            return Ok(self.unset(format!("${{{name}{side}{word}}}")));
        };
        let (text, longest) = match word.strip_prefix(side) {
            Some(rest) => (rest, true),
            None => (word.as_str(), false),
        };
        let pattern = Pattern::new(text).ok_or_else(|| ExpandError::Pattern(text.to_owned()))?;
        Ok(if side == '#' { pattern.trim_start(&value, longest) } else { pattern.trim_end(&value, longest) })
    }

    /// `${name/pattern/replacement}` and `${name//pattern/replacement}`.
    fn replace(&mut self, name: &str) -> Result<String, ExpandError> {
        let all = self.chars.next_if_eq(&'/').is_some();
        let (text, _) = self.until(Some('/'), true).map_err(|error| match error {
            ExpandError::MissingBrace => ExpandError::MissingSlash,
            other => other,
        })?;
        let (replacement, _) = self.until(Some('}'), true)?;
        let Some(value) = self.get(name) else {
            return Ok(self.unset(format!("${{{name}/{text}/{replacement}}}")));
        };
        let pattern = Pattern::new(&text).ok_or(ExpandError::Pattern(text))?;
        Ok(pattern.replace(&value, &replacement, all))
    }

    /// What an unset variable gives.
    fn unset(&self, written: String) -> String {
        if self.options.keep_unset { written } else { String::new() }
    }

    /// Letters, digits and `_`; or digits; or one special parameter of the shell; or nothing.
    fn name(&mut self) -> String {
        let mut name = String::new();
        match self.chars.peek() {
            Some(first) if first.is_ascii_digit() => {
                while let Some(digit) = self.chars.next_if(char::is_ascii_digit) {
                    name.push(digit);
                }
                return name;
            }
            Some('@' | '*' | '#' | '?' | '-' | '$' | '!') => {
                return self.chars.next().into_iter().collect();
            }
            _ => {}
        }
        while let Some(letter) = self.chars.next_if(|c| c.is_alphanumeric() || *c == '_') {
            name.push(letter);
        }
        name
    }

    fn get(&mut self, name: &str) -> Option<String> {
        let value = (self.lookup)(name);
        if value.is_none() && !self.undefined.iter().any(|known| known == name) {
            self.undefined.push(name.to_owned());
        }
        value
    }
}

/// Words as they grow.
#[derive(Default)]
struct Words {
    done: Vec<String>,
    word: String,
}

impl Words {
    /// White space ends a word.
    fn push_char(&mut self, next: char) {
        if !next.is_whitespace() {
            self.word.push(next);
        } else if !self.word.is_empty() {
            self.done.push(std::mem::take(&mut self.word));
        }
    }

    fn push_split(&mut self, text: &str) {
        text.chars().for_each(|next| self.push_char(next));
    }

    fn push_whole(&mut self, text: &str) {
        self.word.push_str(text);
    }

    fn finish(mut self) -> Vec<String> {
        if !self.word.is_empty() {
            self.done.push(self.word);
        }
        self.done
    }
}

#[cfg(test)]
#[path = "expand_tests.rs"]
mod tests;
