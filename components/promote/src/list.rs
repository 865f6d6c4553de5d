//! Lists in one argument, as crane reads them.

use steprun_ports::{Failure, Host};

/// The items of all values of an option: each value is a line of comma-separated ones. An item in double quotes may hold commas; `""`
/// in it is a quote (Go's `encoding/csv`).
pub(crate) fn items(host: &impl Host, option: &str) -> Result<Vec<String>, Failure> {
    let values = host.texts(option);
    let lists = values.iter().map(|value| split(value).ok_or_else(|| malformed(option, value)));
    Ok(lists.collect::<Result<Vec<_>, _>>()?.concat())
}

/// The `NAME=VALUE` of all values of an option. A value with a single `=` is one pair, whatever commas it has.
pub(crate) fn pairs(host: &impl Host, option: &str) -> Result<Vec<(String, String)>, Failure> {
    let mut pairs = Vec::new();
    for value in host.texts(option) {
        let items = match value.matches('=').count() {
            0 | 1 => vec![value],
            _ => split(&value).ok_or_else(|| malformed(option, &value))?,
        };
        for item in items {
            match item.split_once('=').filter(|(name, _)| !name.is_empty()) {
                Some((name, value)) => pairs.push((name.to_owned(), value.to_owned())),
                None => return Err(Failure::usage(format!("--{option} `{item}`: expected NAME=VALUE"))),
            }
        }
    }
    Ok(pairs)
}

fn malformed(option: &str, value: &str) -> Failure {
    let failure = Failure::usage(format!("--{option} `{value}` is no list"));
    failure.hint("a quote begins and ends an item, and stands twice inside of one: `\"a,b\",c`")
}

/// None if a quote is not closed, or stands in the middle of an item. No text is no item.
fn split(text: &str) -> Option<Vec<String>> {
    let mut items = Vec::new();
    let mut rest = text;
    while !rest.is_empty() || !items.is_empty() {
        let (item, after) = match rest.strip_prefix('"') {
            Some(quoted) => take_quoted(quoted)?,
            None => {
                let end = rest.find(',').unwrap_or(rest.len());
                (rest[..end].to_owned(), &rest[end..])
            }
        };
        let bare = !rest.starts_with('"');
        if bare && item.contains('"') {
            return None;
        }
        items.push(item);
        match after.strip_prefix(',') {
            Some(next) => rest = next,
            None if after.is_empty() => break,
            None => return None,
        }
    }
    Some(items)
}

/// What stands before the closing quote, and what after it.
fn take_quoted(text: &str) -> Option<(String, &str)> {
    let mut item = String::new();
    let mut rest = text;
    loop {
        let (before, after) = rest.split_once('"')?;
        item.push_str(before);
        match after.strip_prefix('"') {
            Some(next) => {
                item.push('"');
                rest = next;
            }
            None => return Some((item, after)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_are_read_as_crane_reads_them() {
        for (text, items) in [
            ("", Some(&[][..])),
            ("a", Some(&["a"])),
            ("a,b", Some(&["a", "b"])),
            ("a,,b,", Some(&["a", "", "b", ""])),
            (",", Some(&["", ""])),
            (r#""a,b",c"#, Some(&["a,b", "c"])),
            (r#"a,"say ""hi""""#, Some(&["a", r#"say "hi""#])),
            (r#""""#, Some(&[""])),
            (r#""a"#, None),
            (r#""a"b"#, None),
            (r#"a"b""#, None),
        ] {
            let expected = items.map(|items| items.iter().map(|item| (*item).to_owned()).collect::<Vec<_>>());
            assert_eq!(split(text), expected, "{text}");
        }
    }
}
