//! `--select`: a part of a result.

use serde_json::Value;
use steprun_ports::{Failure, Host};

/// The JSON pointer (RFC 6901) of `--select`; none for all of a result.
///
/// # Errors
/// If it is no pointer.
pub(crate) fn pointer(host: &impl Host) -> Result<Option<String>, Failure> {
    let Some(pointer) = host.texts("select").pop() else { return Ok(None) };
    if pointer.is_empty() || pointer.starts_with('/') {
        return Ok(Some(pointer));
    }
    let failure = Failure::usage(format!("--select `{pointer}` is no JSON pointer"));
    Err(failure.hint("a pointer has a `/` before each name: `/config/Env/0`; in a name, `~1` is a `/` and `~0` a `~`"))
}

/// A line of what a pointer leads to. Texts stand without quotes, so that a shell can use them.
///
/// # Errors
/// If it leads nowhere.
pub(crate) fn line(value: &Value, pointer: Option<&str>) -> Result<String, Failure> {
    let Some(pointer) = pointer else { return Ok(format!("{value}\n")) };
    match value.pointer(pointer) {
        Some(Value::String(text)) => Ok(format!("{text}\n")),
        Some(found) => Ok(format!("{found}\n")),
        None => Err(absent(value, pointer)),
    }
}

/// Says how far a pointer leads, and what is there.
fn absent(value: &Value, pointer: &str) -> Failure {
    let mut beginnings = pointer.rmatch_indices('/').map(|(end, _)| &pointer[..end]);
    let reached = beginnings.find_map(|beginning| Some((beginning, value.pointer(beginning)?)));
    let (beginning, there) = reached.unwrap_or(("", value));
    let place = if beginning.is_empty() { "the result".to_owned() } else { format!("`{beginning}`") };
    let has = match there {
        Value::Object(fields) if fields.is_empty() => "is empty".to_owned(),
        Value::Object(fields) => format!("has {}", fields.keys().cloned().collect::<Vec<_>>().join(", ")),
        Value::Array(items) => format!("is a list of {}", items.len()),
        _ => "has no parts".to_owned(),
    };
    Failure::failed(format!("--select: the result has no `{pointer}`")).hint(format!("{place} {has}"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn parts_are_found_or_what_is_there_is_told() {
        let value = json!({"config": {"Env": ["A=b"], "User": "me", "ExposedPorts": {"80/tcp": {}}}, "size": 3});
        for (pointer, expected) in [
            (
                None,
                Ok("{\"config\":{\"Env\":[\"A=b\"],\"User\":\"me\",\"ExposedPorts\":{\"80/tcp\":{}}},\"size\":3}\n"),
            ),
            (Some("/config/User"), Ok("me\n")),
            (Some("/config/Env"), Ok("[\"A=b\"]\n")),
            (Some("/config/Env/0"), Ok("A=b\n")),
            (Some("/config/ExposedPorts/80~1tcp"), Ok("{}\n")),
            (Some("/size"), Ok("3\n")),
            (Some("/Size"), Err("the result has config, size")),
            (Some("/config/env/0"), Err("`/config` has Env, User, ExposedPorts")),
            (Some("/config/Env/1"), Err("`/config/Env` is a list of 1")),
            (Some("/config/User/name"), Err("`/config/User` has no parts")),
            (Some("/config/ExposedPorts/80~1tcp/x"), Err("`/config/ExposedPorts/80~1tcp` is empty")),
        ] {
            let found = line(&value, pointer).map_err(|failure| failure.hint.unwrap_or_default());
            assert_eq!(found.as_deref().map_err(String::as_str), expected, "{pointer:?}");
        }
        assert_eq!(line(&value, Some("")).ok(), line(&value, None).ok());
    }
}
