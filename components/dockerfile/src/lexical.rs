//! How an instruction's line is cut into keyword, flags and arguments (BuildKit: `parser/split_command.go`,
//! `parser/line_parsers.go`).

use crate::line::Fragment;
use crate::span::Word;

/// White space that separates words; line ends can't occur in a logical line.
const BLANKS: [char; 5] = ['\t', '\u{b}', '\u{c}', '\r', ' '];

/// An instruction's line in its three parts.
#[derive(Debug, Clone)]
pub(crate) struct Command<'l> {
    pub(crate) keyword: Fragment<'l>,
    pub(crate) flags: Vec<RawFlag<'l>>,
    pub(crate) arguments: Fragment<'l>,
}

/// `--name` or `--name=value`, its quotes and escapes removed.
#[derive(Debug, Clone)]
pub(crate) struct RawFlag<'l> {
    pub(crate) text: String,
    pub(crate) place: Fragment<'l>,
}

/// Cuts a line.
pub(crate) fn command<'l>(line: Fragment<'l>, escape: char) -> Command<'l> {
    let line = line.trim();
    let length = line.text().find(BLANKS).unwrap_or(line.text().len());
    let rest = line.after(length);
    let rest = rest.after(rest.text().len() - rest.text().trim_start_matches(BLANKS).len());
    let (flags, arguments) = flags(rest, escape);
    Command { keyword: line.part(0, length), flags, arguments: arguments.trim() }
}

/// Takes flags away until a word doesn't start with `--` or is `--`.
fn flags<'l>(rest: Fragment<'l>, escape: char) -> (Vec<RawFlag<'l>>, Fragment<'l>) {
    let mut flags = Vec::new();
    let mut rest = rest;
    loop {
        rest = rest.trim();
        if !rest.text().starts_with("--") {
            return (flags, rest);
        }
        let (text, length) = flag(rest.text(), escape);
        let place = rest.part(0, length);
        rest = rest.after(length);
        if text == "--" {
            return (flags, rest);
        }
        flags.push(RawFlag { text, place });
    }
}

/// Reads one flag: its text and its length as written.
fn flag(text: &str, escape: char) -> (String, usize) {
    let mut value = String::new();
    let mut quote = None;
    let mut chars = text.char_indices();
    while let Some((at, next)) = chars.next() {
        match quote {
            None if next.is_whitespace() => return (value, at),
            None if next == '\'' || next == '"' => quote = Some(next),
            Some(open) if next == open => quote = None,
            // An escape at the end is dropped.
            _ if next == escape => value.extend(chars.next().map(|(_, escaped)| escaped)),
            _ => value.push(next),
        }
    }
    (value, text.len())
}

/// Words as ENV, LABEL and ARG have them: white space in quotes or escaped doesn't separate; quotes and escapes are kept.
pub(crate) fn quoted_words<'l>(text: Fragment<'l>, escape: char) -> Vec<Fragment<'l>> {
    let mut words = Vec::new();
    let mut start = None;
    let mut quote = None;
    let mut chars = text.text().char_indices();
    while let Some((at, next)) = chars.next() {
        if quote.is_none() && next.is_whitespace() {
            words.extend(start.take().map(|start| text.part(start, at)));
            continue;
        }
        start = start.or(Some(at));
        match quote {
            None if next == '\'' || next == '"' => quote = Some(next),
            Some(open) if next == open => quote = None,
            // Nothing can be escaped in single quotes.
            _ if next == escape && quote != Some('\'') => {
                chars.next();
            }
            _ => {}
        }
    }
    words.extend(start.map(|start| text.after(start)));
    words
}

/// Words between blanks, whatever they are.
pub(crate) fn blank_words<'l>(text: Fragment<'l>) -> Vec<Fragment<'l>> {
    let mut words = Vec::new();
    let mut at = 0;
    for word in text.text().split(BLANKS) {
        if !word.is_empty() {
            words.push(text.part(at, at + word.len()));
        }
        // Each of the blanks is one byte long.
        at += word.len() + 1;
    }
    words
}

/// The first word and what follows the blanks behind it; none when there is nothing behind it.
pub(crate) fn first_and_rest<'l>(text: Fragment<'l>) -> Option<(Fragment<'l>, Fragment<'l>)> {
    let length = text.text().find(BLANKS)?;
    let rest = text.after(length);
    let rest = rest.after(rest.text().len() - rest.text().trim_start_matches(BLANKS).len());
    Some((text.part(0, length), rest))
}

/// What a JSON array was found to be.
pub(crate) enum Json {
    /// An array of strings.
    Strings(Vec<Word>),
    /// An array that holds something else: an error.
    Mixed,
    /// No array; the text is to be read in another way.
    Not,
}

/// Reads the exec form.
pub(crate) fn json(text: Fragment<'_>) -> Json {
    let text = text.trim();
    if !text.text().starts_with('[') {
        return Json::Not;
    }
    let Ok(values) = serde_json::from_str::<Vec<serde_json::Value>>(text.text()) else {
        return Json::Not;
    };
    let places = string_literals(text);
    let mut words = Vec::new();
    for (index, value) in values.into_iter().enumerate() {
        let serde_json::Value::String(value) = value else {
            return Json::Mixed;
        };
        let place = places.get(index).copied().unwrap_or(text);
        words.push(Word::new(value, place.span()));
    }
    Json::Strings(words)
}

/// Where the strings of a flat JSON array stand, with their quotes.
fn string_literals<'l>(text: Fragment<'l>) -> Vec<Fragment<'l>> {
    let mut places = Vec::new();
    let mut open = None;
    let mut bytes = text.text().bytes().enumerate();
    while let Some((at, byte)) = bytes.next() {
        match (byte, open) {
            (b'"', None) => open = Some(at),
            (b'"', Some(start)) => {
                places.push(text.part(start, at + 1));
                open = None;
            }
            (b'\\', Some(_)) => {
                bytes.next();
            }
            _ => {}
        }
    }
    places
}

/// A truth value as Go's `strconv.ParseBool` reads it.
pub(crate) fn boolean(text: &str) -> Option<bool> {
    match text {
        "1" | "t" | "T" | "TRUE" | "true" | "True" => Some(true),
        "0" | "f" | "F" | "FALSE" | "false" | "False" => Some(false),
        _ => None,
    }
}

/// Fields of a line of comma separated values, as Go's `encoding/csv` reads it; none when a quote stands in a wrong place.
pub(crate) fn comma_separated(text: &str) -> Option<Vec<String>> {
    let mut fields = Vec::new();
    let mut rest = text;
    loop {
        let Some(quoted) = rest.strip_prefix('"') else {
            let (field, after) = rest.split_once(',').map_or((rest, None), |(field, after)| (field, Some(after)));
            if field.contains('"') {
                return None;
            }
            fields.push(field.to_owned());
            match after {
                Some(after) => rest = after,
                None => return Some(fields),
            }
            continue;
        };
        let (field, after) = quoted_field(quoted)?;
        fields.push(field);
        match after.strip_prefix(',') {
            Some(next) => rest = next,
            None => return after.is_empty().then_some(fields),
        }
    }
}

/// A field after its opening quote, and what follows its closing quote; `""` stands for a quote.
fn quoted_field(text: &str) -> Option<(String, &str)> {
    let mut field = String::new();
    let mut rest = text;
    loop {
        let (part, after) = rest.split_once('"')?;
        field.push_str(part);
        match after.strip_prefix('"') {
            Some(next) => {
                field.push('"');
                rest = next;
            }
            None => return Some((field, after)),
        }
    }
}
