//! Versions.

/// A version: `1.2.3-rc.1`. Tags can't have build metadata: `+` is no character of theirs.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Version {
    pub(super) numbers: [u64; 3],
    pub(super) pre: Pre,
}

/// What makes a pre-release; a release is greater than all of its pre-releases.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Pre {
    Before(Vec<Identifier>),
    Release,
}

/// Numbers are less than words.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Identifier {
    Number(u64),
    Word(String),
}

impl Version {
    /// The version that a tag is, with or without a `v`. All three numbers are needed: `1.2` is a tag that moves.
    pub(crate) fn of_tag(tag: &str) -> Option<Self> {
        let partial = Partial::parse(tag.strip_prefix('v').unwrap_or(tag))?;
        let [Some(major), Some(minor), Some(patch)] = partial.numbers else { return None };
        Some(Self { numbers: [major, minor, patch], pre: partial.pre })
    }

    pub(super) fn release(numbers: [u64; 3]) -> Self {
        Self { numbers, pre: Pre::Release }
    }

    /// The least of all that have these numbers.
    pub(super) fn least(numbers: [u64; 3]) -> Self {
        Self { numbers, pre: Pre::Before(Vec::new()) }
    }
}

/// A version of a range, whose last numbers may be absent: `1`, `1.2`, `1.x`, `*`.
pub(super) struct Partial {
    pub(super) numbers: [Option<u64>; 3],
    pub(super) pre: Pre,
}

impl Partial {
    pub(super) fn parse(text: &str) -> Option<Self> {
        let (numbers, pre) = match text.split_once('-') {
            Some((numbers, pre)) => {
                (numbers, Pre::Before(pre.split('.').map(Identifier::parse).collect::<Option<_>>()?))
            }
            None => (text, Pre::Release),
        };
        let mut parsed = [None; 3];
        let words: Vec<&str> = numbers.split('.').collect();
        if words.len() > 3 {
            return None;
        }
        for (index, word) in words.into_iter().enumerate() {
            let any = matches!(word, "x" | "X" | "*");
            // Nothing follows a number that may be any.
            if !any && index > 0 && parsed[index - 1].is_none() {
                return None;
            }
            parsed[index] = if any { None } else { Some(number(word)?) };
        }
        let whole = parsed.iter().all(Option::is_some);
        (whole || pre == Pre::Release).then_some(Self { numbers: parsed, pre })
    }

    /// With 0 for what is absent.
    pub(super) fn filled(&self) -> [u64; 3] {
        self.numbers.map(Option::unwrap_or_default)
    }

    pub(super) fn version(&self) -> Version {
        Version { numbers: self.filled(), pre: self.pre.clone() }
    }

    /// The first numbers that `~` leaves out: those of the next minor version, or of the next major one if no minor is given.
    pub(super) fn tilde(&self) -> Option<[u64; 3]> {
        self.numbers[0]?;
        bump(self.filled(), usize::from(self.numbers[1].is_some()))
    }

    /// The first numbers that `^` leaves out: the first number that is given and not 0 must stay.
    pub(super) fn caret(&self) -> Option<[u64; 3]> {
        let given = self.numbers.iter().take_while(|number| number.is_some()).count();
        let last = given.checked_sub(1)?;
        let kept = self.filled().iter().position(|number| *number != 0).unwrap_or(last);
        bump(self.filled(), kept.min(last))
    }

    /// The first numbers behind all that begin with what is given: `2` behind `1`, `1.3` behind `1.2`. None behind `*`.
    pub(super) fn next(&self) -> Option<[u64; 3]> {
        let given = self.numbers.iter().take_while(|number| number.is_some()).count();
        bump(self.filled(), given.checked_sub(1)?)
    }
}

fn bump(mut numbers: [u64; 3], index: usize) -> Option<[u64; 3]> {
    numbers[index] = numbers[index].checked_add(1)?;
    numbers[index + 1..].fill(0);
    Some(numbers)
}

/// Digits without leading zeros.
fn number(text: &str) -> Option<u64> {
    let plain = text.bytes().all(|byte| byte.is_ascii_digit()) && (text == "0" || !text.starts_with('0'));
    if plain { text.parse().ok() } else { None }
}

impl Identifier {
    fn parse(text: &str) -> Option<Self> {
        let known = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
        if text.is_empty() || !text.bytes().all(known) {
            return None;
        }
        if text.bytes().all(|byte| byte.is_ascii_digit()) {
            return number(text).map(Self::Number);
        }
        Some(Self::Word(text.into()))
    }
}
