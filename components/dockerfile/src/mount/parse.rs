//! The text of `--mount`.

use super::{MountField, MountKey, MountSpec};
use crate::diagnostic::Diagnostic;
use crate::expand::expand;
use crate::lexical::comma_separated;
use crate::span::{Source, Span, Word};
use crate::suggest;

/// Keys as they can be written.
const KEYS: [(&str, MountKey); 19] = [
    ("type", MountKey::Type),
    ("from", MountKey::From),
    ("source", MountKey::Source),
    ("src", MountKey::Source),
    ("target", MountKey::Target),
    ("dst", MountKey::Target),
    ("destination", MountKey::Target),
    ("readonly", MountKey::ReadOnly),
    ("ro", MountKey::ReadOnly),
    ("readwrite", MountKey::ReadWrite),
    ("rw", MountKey::ReadWrite),
    ("required", MountKey::Required),
    ("size", MountKey::Size),
    ("id", MountKey::Id),
    ("sharing", MountKey::Sharing),
    ("mode", MountKey::Mode),
    ("uid", MountKey::Uid),
    ("gid", MountKey::Gid),
    ("env", MountKey::Env),
];

impl MountSpec {
    /// Stage, image or named context that the mount takes files from. Never holds a variable: the parser refuses it.
    pub fn from(&self) -> Option<&Word> {
        self.value(MountKey::From)
    }

    /// The last value of a key.
    pub fn value(&self, key: MountKey) -> Option<&Word> {
        self.fields.iter().rev().find(|field| field.key == key).and_then(|field| field.value.as_ref())
    }

    /// Reads a flag's value. When it has no variables, all that [`MountSpec::resolve`] would refuse is refused at once.
    pub(crate) fn parse(value: &Word, escape: char, source: &Source) -> Result<Self, Diagnostic> {
        let fields = comma_separated(&value.raw).ok_or_else(|| {
            Diagnostic::new(value.span, "failed to parse csv mounts: a quote stands in the middle of a field")
        })?;
        let place = Places { value, plain: source.slice(value.span) == value.raw };
        let mut spec = Self { fields: Vec::new(), span: value.span };
        let mut at = 0;
        for field in &fields {
            spec.fields.push(parse_field(field, place.of(at, field.len()))?);
            at += field.len() + 1;
        }
        if !spec.fields.iter().any(|field| field.value.as_ref().is_some_and(|word| word.raw.contains('$'))) {
            spec.resolve(&mut |raw| Ok(expand(raw, escape, &|_| None)?.value))?;
        }
        Ok(spec)
    }
}

/// Finds the places of fields.
struct Places<'w> {
    value: &'w Word,
    /// Whether the source has the value as it is: no quotes, escapes or continuations in it.
    plain: bool,
}

impl Places<'_> {
    fn of(&self, at: usize, length: usize) -> Span {
        let start = self.value.span.start + at;
        if self.plain { Span::new(start, start + length) } else { self.value.span }
    }
}

fn parse_field(field: &str, span: Span) -> Result<MountField, Diagnostic> {
    let (written, value) = field.split_once('=').map_or((field, None), |(key, value)| (key, Some(value)));
    let lower = written.to_lowercase();
    let Some(&(_, key)) = KEYS.iter().find(|(name, _)| *name == lower) else {
        let mut unknown = Diagnostic::new(span, format!("unexpected key '{lower}' in '{field}'"));
        unknown.hint = suggest::hint(&lower, KEYS.iter().map(|(name, _)| *name), "");
        return Err(unknown);
    };
    let stands_alone = matches!(key, MountKey::ReadOnly | MountKey::ReadWrite | MountKey::Required);
    let Some(value) = value else {
        let field = MountField { key, value: None };
        let message = || format!("invalid field '{written}' must be a key=value pair");
        return if stands_alone { Ok(field) } else { Err(Diagnostic::new(span, message())) };
    };
    let value = Word::new(value, span);
    // A `$` at the end is no variable.
    let variable = value.raw.find('$').is_some_and(|at| at + 1 < value.raw.len());
    if key == MountKey::From && variable {
        let message = "'from' doesn't support variable expansion, define alias stage instead";
        let hint = "write `FROM image:$TAG AS name` above and `from=name` here";
        return Err(Diagnostic::new(span, message).with_hint(hint));
    }
    Ok(MountField { key, value: Some(value) })
}
