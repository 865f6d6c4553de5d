//! Flags of instructions (BuildKit: `instructions/bflag.go`).

use crate::diagnostic::Diagnostic;
use crate::lexical::RawFlag;
use crate::line::Fragment;
use crate::span::Word;
use crate::suggest;

/// What a flag takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Takes {
    /// Nothing, `true` or `false`.
    Bool,
    /// A value; once.
    One,
    /// A value; any number of times.
    Many,
}

/// Names that an instruction knows.
pub(crate) type Known = &'static [(&'static str, Takes)];

/// The flags of one instruction, checked.
#[derive(Debug, Default)]
pub(crate) struct Flags {
    values: Vec<(&'static str, Word)>,
}

impl Flags {
    /// Checks flags against those an instruction knows.
    pub(crate) fn new(raw: &[RawFlag<'_>], known: Known) -> Result<Self, Diagnostic> {
        let mut flags = Self::default();
        for flag in raw {
            let (name, takes, value) = check(flag, known)?;
            if takes != Takes::Many && flags.get(name).is_some() {
                return Err(Diagnostic::new(flag.place.span(), format!("duplicate flag specified: --{name}")));
            }
            flags.values.push((name, value));
        }
        Ok(flags)
    }

    /// Value of a flag, when it is there.
    pub(crate) fn get(&self, name: &str) -> Option<&Word> {
        self.all(name).next()
    }

    /// Value of a flag, when it is there and not empty: BuildKit takes an empty value for none.
    pub(crate) fn filled(&self, name: &str) -> Option<Word> {
        self.get(name).filter(|word| !word.raw.is_empty()).cloned()
    }

    /// All values of a flag.
    pub(crate) fn all<'f>(&'f self, name: &str) -> impl Iterator<Item = &'f Word> {
        self.values.iter().filter(move |(own, _)| *own == name).map(|(_, value)| value)
    }

    /// Value of a boolean flag, when it is there.
    pub(crate) fn truth(&self, name: &str) -> Option<bool> {
        self.get(name).map(|word| word.raw == "true")
    }
}

fn check(flag: &RawFlag<'_>, known: Known) -> Result<(&'static str, Takes, Word), Diagnostic> {
    let text = flag.text.strip_prefix("--").unwrap_or(&flag.text);
    let (name, value) = text.split_once('=').map_or((text, None), |(name, value)| (name, Some(value)));
    let error = |message: String| Diagnostic::new(flag.place.span(), message);
    let Some(&(name, takes)) = known.iter().find(|(own, _)| *own == name) else {
        let mut unknown = error(format!("unknown flag: --{name}"));
        unknown.hint = suggest::hint(name, known.iter().map(|(own, _)| *own), "--");
        return Err(unknown);
    };
    let value = match (takes, value) {
        (Takes::Bool, None) => "true".to_owned(),
        (Takes::Bool, Some(value)) => match value.to_ascii_lowercase() {
            lower if lower == "true" || lower == "false" => lower,
            lower if lower.is_empty() => {
                return Err(error(format!("missing a value on flag: --{name}")));
            }
            _ => {
                return Err(error(format!("expecting boolean value for flag --{name}, not: {value}")));
            }
        },
        (_, Some(value)) => value.to_owned(),
        (_, None) => return Err(error(format!("missing a value on flag: --{name}"))),
    };
    Ok((name, takes, Word::new(value, value_place(flag.place).span())))
}

/// What stands behind the `=`; all of it when there is none.
fn value_place(place: Fragment<'_>) -> Fragment<'_> {
    match place.text().find('=') {
        Some(at) => place.after(at + 1),
        None => place,
    }
}
