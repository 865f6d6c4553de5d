//! Go's `filepath.Match`: the patterns of COPY and ADD sources.

/// A pattern that ends in `\`, has an open `[` or a bad range (Go: `ErrBadPattern`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("syntax error in pattern")]
pub struct BadPattern;

/// A compiled pattern. `*` stands for any characters but `/`, `?` for one of them, `[a-z]` and `[^a-z]` for one of a class, `\`
/// takes the meaning of the next character away.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Glob(Vec<Token>);

impl Glob {
    /// Compiles a pattern.
    ///
    /// # Errors
    ///
    /// See [`BadPattern`].
    pub fn new(pattern: &str) -> Result<Self, BadPattern> {
        let mut tokens = Vec::new();
        let mut chars = Chars::new(pattern);
        while let Some(next) = chars.next() {
            tokens.push(chars.token(next)?);
        }
        Ok(Self(tokens))
    }

    /// Whether all of a name matches.
    pub fn matches(&self, name: &str) -> bool {
        Run::over(&self.0, name).done()
    }
}

/// Whether a pattern matches all of a name.
///
/// # Errors
///
/// See [`BadPattern`].
pub fn matches(pattern: &str, name: &str) -> Result<bool, BadPattern> {
    Ok(Glob::new(pattern)?.matches(name))
}

/// Whether a path has characters with a meaning; then a source of COPY that matches nothing is no error.
pub fn has_wildcards(path: &str) -> bool {
    let mut chars = path.chars();
    while let Some(next) = chars.next() {
        match next {
            '\\' => {
                chars.next();
            }
            '*' | '?' | '[' => return true,
            _ => {}
        }
    }
    false
}

/// A part of a pattern.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Token {
    /// One character.
    Literal(char),
    /// One character but `/`.
    One,
    /// Any characters but `/`.
    Many,
    /// One character of some ranges, or of none of them.
    Class { negated: bool, ranges: Vec<(char, char)> },
    /// `**/`: nothing, or anything that ends with `/`.
    Directories,
    /// Anything.
    All,
}

impl Token {
    fn takes(&self, next: char) -> bool {
        match self {
            Self::Literal(own) => *own == next,
            Self::One | Self::Many => next != '/',
            Self::Class { negated, ranges } => {
                ranges.iter().any(|(low, high)| (*low..=*high).contains(&next)) != *negated
            }
            Self::Directories | Self::All => true,
        }
    }
}

/// Reads a pattern's characters.
pub(crate) struct Chars<'p>(std::iter::Peekable<std::str::Chars<'p>>);

impl<'p> Chars<'p> {
    pub(crate) fn new(pattern: &'p str) -> Self {
        Self(pattern.chars().peekable())
    }

    pub(crate) fn next(&mut self) -> Option<char> {
        self.0.next()
    }

    /// Consumes the next character when it is the given one.
    pub(crate) fn next_if(&mut self, wanted: char) -> bool {
        self.0.next_if_eq(&wanted).is_some()
    }

    pub(crate) fn at_end(&mut self) -> bool {
        self.0.peek().is_none()
    }

    /// The token that starts with a character, which is already consumed.
    pub(crate) fn token(&mut self, first: char) -> Result<Token, BadPattern> {
        match first {
            '*' => Ok(Token::Many),
            '?' => Ok(Token::One),
            '[' => self.class(),
            '\\' => self.next().map(Token::Literal).ok_or(BadPattern),
            other => Ok(Token::Literal(other)),
        }
    }

    fn class(&mut self) -> Result<Token, BadPattern> {
        let negated = self.next_if('^');
        let mut ranges = Vec::new();
        loop {
            if !ranges.is_empty() && self.next_if(']') {
                return Ok(Token::Class { negated, ranges });
            }
            let low = self.member()?;
            let high = if self.next_if('-') { self.member()? } else { low };
            ranges.push((low, high));
        }
    }

    /// One end of a range.
    fn member(&mut self) -> Result<char, BadPattern> {
        match self.next().ok_or(BadPattern)? {
            '-' | ']' => Err(BadPattern),
            '\\' => self.next().ok_or(BadPattern),
            other => Ok(other),
        }
    }
}

/// All the ways in which a pattern can have come as far as a text. There are few of them at a time, so they are kept as a list.
pub(crate) struct Run<'t> {
    tokens: &'t [Token],
    now: Vec<State>,
    /// Room for the states after the next character.
    next: Vec<State>,
    /// By [`State::number`]: the round in which a state was last added.
    seen: Vec<u32>,
    round: u32,
}

/// How far a pattern has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct State {
    /// The text so far matches the tokens before this one.
    token: usize,
    /// The text so far ends within this token, a [`Token::Directories`].
    within: bool,
}

impl State {
    fn before(token: usize) -> Self {
        Self { token, within: false }
    }

    fn number(self) -> usize {
        self.token * 2 + usize::from(self.within)
    }
}

impl<'t> Run<'t> {
    /// Before any text.
    pub(crate) fn new(tokens: &'t [Token]) -> Self {
        let seen = vec![0; (tokens.len() + 1) * 2];
        let mut run = Self { tokens, now: Vec::new(), next: Vec::new(), seen, round: 1 };
        run.add(State::before(0));
        std::mem::swap(&mut run.now, &mut run.next);
        run
    }

    /// After a text.
    pub(crate) fn over(tokens: &'t [Token], text: &str) -> Self {
        let mut run = Self::new(tokens);
        // Stops at the first character that leaves no way on.
        let _ = text.chars().all(|next| run.step(next));
        run
    }

    /// Whether the text matches.
    pub(crate) fn done(&self) -> bool {
        self.now.contains(&State::before(self.tokens.len()))
    }

    /// Whether the text with something behind it could match.
    pub(crate) fn could_go_on(&self) -> bool {
        self.now.iter().any(|state| state.token < self.tokens.len())
    }

    /// Reads a character; false when nothing can match any more.
    pub(crate) fn step(&mut self, next: char) -> bool {
        self.next.clear();
        self.round += 1;
        for index in 0..self.now.len() {
            let State { token, .. } = self.now[index];
            match self.tokens.get(token).filter(|own| own.takes(next)) {
                None => {}
                Some(Token::Many | Token::All) => self.add(State::before(token)),
                Some(Token::Directories) => {
                    self.add(State { token, within: true });
                    if next == '/' {
                        self.add(State::before(token + 1));
                    }
                }
                Some(_) => self.add(State::before(token + 1)),
            }
        }
        std::mem::swap(&mut self.now, &mut self.next);
        !self.now.is_empty()
    }

    /// Adds a state, and those behind tokens that can stand for nothing.
    fn add(&mut self, mut state: State) {
        while self.seen[state.number()] != self.round {
            self.seen[state.number()] = self.round;
            self.next.push(state);
            let skippable = matches!(self.tokens.get(state.token), Some(Token::Many | Token::Directories | Token::All));
            if state.within || !skippable {
                return;
            }
            state.token += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn row_87_like_filepath_match() {
        // Rows of Go's own test of filepath.Match.
        let rows: &[(&str, &str, Option<bool>)] = &[
            ("abc", "abc", Some(true)),
            ("*", "abc", Some(true)),
            ("*c", "abc", Some(true)),
            ("a*", "a", Some(true)),
            ("a*", "abc", Some(true)),
            ("a*", "ab/c", Some(false)),
            ("a*/b", "abc/b", Some(true)),
            ("a*/b", "a/c/b", Some(false)),
            ("a*b*c*d*e*/f", "axbxcxdxe/f", Some(true)),
            ("a*b*c*d*e*/f", "axbxcxdxexxx/f", Some(true)),
            ("a*b*c*d*e*/f", "axbxcxdxe/xxx/f", Some(false)),
            ("a*b?c*x", "abxbbxdbxebxczzx", Some(true)),
            ("a*b?c*x", "abxbbxdbxebxczzy", Some(false)),
            ("ab[c]", "abc", Some(true)),
            ("ab[b-d]", "abc", Some(true)),
            ("ab[e-g]", "abc", Some(false)),
            ("ab[^c]", "abc", Some(false)),
            ("ab[^e-g]", "abc", Some(true)),
            (r"a\*b", "a*b", Some(true)),
            (r"a\*b", "ab", Some(false)),
            ("a?b", "a☺b", Some(true)),
            ("a[^a]b", "a☺b", Some(true)),
            ("a???b", "a☺b", Some(false)),
            ("[a-ζ]*", "α", Some(true)),
            ("*[a-ζ]", "A", Some(false)),
            ("a?b", "a/b", Some(false)),
            ("a*b", "a/b", Some(false)),
            (r"[\]a]", "]", Some(true)),
            (r"[\-]", "-", Some(true)),
            (r"[x\-]", "-", Some(true)),
            (r"[\-x]", "a", Some(false)),
            ("[[]", "[", Some(true)),
            ("[]a]", "]", None),
            ("[-]", "-", None),
            ("[x-]", "x", None),
            ("[-x]", "x", None),
            (r"\", "a", None),
            ("[a-b-c]", "a", None),
            ("[", "a", None),
            ("[^", "a", None),
            ("[^bc", "a", None),
            ("a[", "a", None),
            ("a[", "x", None),
            ("a/b[", "x", None),
            ("*x", "xxx", Some(true)),
            ("", "", Some(true)),
            ("", "a", Some(false)),
            ("[^a]", "/", Some(true)),
        ];
        for (pattern, name, expected) in rows {
            assert_eq!(matches(pattern, name).ok(), *expected, "{pattern} {name}");
        }
    }

    #[test]
    fn wildcards_are_found() {
        for (path, expected) in
            [("a*", true), ("[a]", true), ("?", true), (r"a\*", false), ("a/b", false), (r"\\*", true)]
        {
            assert_eq!(has_wildcards(path), expected, "{path}");
        }
    }

    /// The definition, by trying everything.
    fn naive(pattern: &[char], name: &[char]) -> bool {
        match pattern.split_first() {
            None => name.is_empty(),
            Some(('*', rest)) => {
                naive(rest, name) || name.first().is_some_and(|c| *c != '/') && naive(pattern, &name[1..])
            }
            Some(('?', rest)) => name.first().is_some_and(|c| *c != '/') && naive(rest, &name[1..]),
            Some((own, rest)) => name.first() == Some(own) && naive(rest, &name[1..]),
        }
    }

    proptest! {
        #[test]
        fn equals_the_definition(pattern in "[ab/*?]{0,8}", name in "[ab/]{0,8}") {
            let p: Vec<char> = pattern.chars().collect();
            let n: Vec<char> = name.chars().collect();
            prop_assert_eq!(matches(&pattern, &name), Ok(naive(&p, &n)));
        }

        #[test]
        fn never_panics(pattern in "\\PC{0,20}", name in "\\PC{0,20}") {
            let _ = matches(&pattern, &name);
            let _ = has_wildcards(&pattern);
        }
    }
}
