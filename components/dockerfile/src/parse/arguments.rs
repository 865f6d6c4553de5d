//! Keys and values of ENV, LABEL and ARG.

use crate::diagnostic::Diagnostic;
use crate::instruction::{Arg, KeyValue, StrayComment};
use crate::lexical::{first_and_rest, quoted_words};
use crate::line::{Fragment, Line};
use crate::span::{Span, Word};

/// A message about the whole instruction.
fn error(text: Fragment<'_>, message: String) -> Diagnostic {
    Diagnostic::new(text.line().span, message)
}

/// `KEY=VALUE ...`, or `KEY rest of the line` when the first word has no `=`.
pub(super) fn key_values(text: Fragment<'_>, keyword: &str, escape: char) -> Result<Vec<KeyValue>, Diagnostic> {
    let words = quoted_words(text, escape);
    let Some(first) = words.first() else {
        return Err(error(text, format!("{keyword} requires at least one argument")));
    };
    if !first.text().contains('=') {
        let two = || Diagnostic::new(first.span(), format!("{keyword} must have two arguments"));
        let (key, value) = first_and_rest(text).ok_or_else(two)?;
        return Ok(vec![KeyValue { key: key.word(), value: value.word(), legacy: true }]);
    }
    words.into_iter().map(|word| key_value(word, keyword, escape)).collect()
}

fn key_value(word: Fragment<'_>, keyword: &str, escape: char) -> Result<KeyValue, Diagnostic> {
    let Some((key, value)) = cut(word, escape) else {
        let text = word.text();
        let message = format!("Syntax error - can't find = in \"{text}\". Must be of the form: name=value");
        let hint = format!("quote values that have spaces: {keyword} name=\"a value\"");
        return Err(Diagnostic::new(word.span(), message).with_hint(hint));
    };
    if key.raw.is_empty() {
        return Err(Diagnostic::new(word.span(), format!("{keyword} names can not be blank")));
    }
    Ok(KeyValue { key, value, legacy: false })
}

/// Cuts at the first `=`.
fn cut(word: Fragment<'_>, escape: char) -> Option<(Word, Word)> {
    let at = word.text().find('=')?;
    let mut value = word.after(at + 1).word();
    strip_last_escape(&mut value.raw, escape);
    Some((word.part(0, at).word(), value))
}

/// An escape at the end escapes nothing; the expansion would drop it too, but what is shown should be tidy.
fn strip_last_escape(raw: &mut String, escape: char) {
    let escapes = raw.chars().rev().take_while(|&c| c == escape).count();
    if escapes % 2 == 1 {
        raw.pop();
    }
}

/// `NAME` or `NAME=DEFAULT`, at least one.
pub(super) fn arg_list(text: Fragment<'_>, escape: char) -> Result<Vec<Arg>, Diagnostic> {
    let words = quoted_words(text, escape);
    if words.is_empty() {
        return Err(error(text, "ARG requires at least one argument".to_owned()));
    }
    words.into_iter().map(|word| arg(word, escape)).collect()
}

fn arg(word: Fragment<'_>, escape: char) -> Result<Arg, Diagnostic> {
    let (name, default) = match cut(word, escape) {
        Some((name, default)) => (name, Some(default)),
        None => (word.word(), None),
    };
    if name.raw.is_empty() {
        return Err(Diagnostic::new(word.span(), "ARG names can not be blank"));
    }
    let description = description(word.line(), &name.raw);
    Ok(Arg { name, default, description, span: word.span() })
}

/// The rest of the comment line above that starts with a name.
pub(super) fn description(line: &Line, name: &str) -> Option<String> {
    let mut found = line.comments.iter().filter_map(|comment| comment.strip_prefix(name)?.strip_prefix(' '));
    found.next().map(str::to_owned)
}

/// The comment above that should describe one of some names and doesn't start with any. Its last line counts.
pub(super) fn stray_comment(line: &Line, keyword: &'static str, names: &[&str], span: Span) -> Option<StrayComment> {
    let first = line.comments.last()?.split(' ').next()?;
    let name = match names {
        [] => return None,
        [name] => (*name).to_owned(),
        _ => "<arg_key>".to_owned(),
    };
    (!names.contains(&first)).then_some(StrayComment { keyword, name, span })
}
