//! JSON objects whose known fields are typed and whose others are kept.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use crate::{Error, Result};

/// An object that is being taken apart: each `take` removes a field, what is left is unknown.
pub(crate) struct Fields {
    what: &'static str,
    map: Map<String, Value>,
}

impl Fields {
    pub(crate) fn parse(what: &'static str, bytes: &[u8]) -> Result<Self> {
        let json = |reason: String| Error::Json { what, reason };
        match serde_json::from_slice(bytes).map_err(|error| json(error.to_string()))? {
            Value::Object(map) => Ok(Self { what, map }),
            _ => Err(json("it is another value".into())),
        }
    }

    pub(crate) fn of(what: &'static str, value: Value) -> Result<Self> {
        match value {
            Value::Object(map) => Ok(Self { what, map }),
            _ => Err(Error::Json { what, reason: "it is another value".into() }),
        }
    }

    fn error(&self, field: &str, expected: &'static str) -> Error {
        Error::Field { what: self.what, field: field.into(), expected }
    }

    /// A field; `null` counts as absent, as in Go.
    pub(crate) fn take(&mut self, field: &str) -> Option<Value> {
        // `remove` would move the last field to its place.
        self.map.shift_remove(field).filter(|value| !value.is_null())
    }

    pub(crate) fn text(&mut self, field: &str) -> Result<Option<String>> {
        match self.take(field) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(_) => Err(self.error(field, "text")),
        }
    }

    pub(crate) fn required_text(&mut self, field: &str) -> Result<String> {
        self.text(field)?.ok_or_else(|| self.error(field, "text"))
    }

    pub(crate) fn size(&mut self, field: &str) -> Result<u64> {
        self.take(field).and_then(|value| value.as_u64()).ok_or_else(|| self.error(field, "size"))
    }

    /// An integer; 0 where it is absent.
    pub(crate) fn integer(&mut self, field: &str) -> Result<i64> {
        match self.take(field) {
            None => Ok(0),
            Some(value) => value.as_i64().ok_or_else(|| self.error(field, "integer")),
        }
    }

    pub(crate) fn has(&self, field: &str) -> bool {
        self.map.get(field).is_some_and(|value| !value.is_null())
    }

    pub(crate) fn flag(&mut self, field: &str) -> Result<bool> {
        match self.take(field) {
            None => Ok(false),
            Some(Value::Bool(flag)) => Ok(flag),
            Some(_) => Err(self.error(field, "truth value")),
        }
    }

    /// The items of a list; none where it is absent.
    pub(crate) fn list(&mut self, field: &str) -> Result<Vec<Value>> {
        match self.take(field) {
            None => Ok(Vec::new()),
            Some(Value::Array(items)) => Ok(items),
            Some(_) => Err(self.error(field, "list")),
        }
    }

    pub(crate) fn texts(&mut self, field: &str) -> Result<Vec<String>> {
        let items = self.list(field)?;
        let text = |item: Value| match item {
            Value::String(text) => Ok(text),
            _ => Err(self.error(field, "list of texts")),
        };
        items.into_iter().map(text).collect()
    }

    pub(crate) fn text_map(&mut self, field: &str) -> Result<BTreeMap<String, String>> {
        let Some(value) = self.take(field) else { return Ok(BTreeMap::new()) };
        let Value::Object(map) = value else { return Err(self.error(field, "map of texts")) };
        let text = |(name, item): (String, Value)| match item {
            Value::String(text) => Ok((name, text)),
            _ => Err(self.error(field, "map of texts")),
        };
        map.into_iter().map(text).collect()
    }

    /// The keys of a Go `map[string]struct{}`.
    pub(crate) fn keys(&mut self, field: &str) -> Result<Vec<String>> {
        match self.take(field) {
            None => Ok(Vec::new()),
            Some(Value::Object(map)) => Ok(map.into_iter().map(|(name, _)| name).collect()),
            Some(_) => Err(self.error(field, "map")),
        }
    }

    pub(crate) fn rest(self) -> Map<String, Value> {
        self.map
    }
}

/// An object that is being put together; absent and empty values are left out.
#[derive(Default)]
pub(crate) struct Writer {
    map: Map<String, Value>,
}

impl Writer {
    pub(crate) fn always(mut self, field: &str, value: impl Into<Value>) -> Self {
        self.map.insert(field.into(), value.into());
        self
    }

    pub(crate) fn some(self, field: &str, value: Option<impl Into<Value>>) -> Self {
        match value {
            Some(value) => self.always(field, value),
            None => self,
        }
    }

    pub(crate) fn list(self, field: &str, items: &[String]) -> Self {
        if items.is_empty() { self } else { self.always(field, items.to_vec()) }
    }

    pub(crate) fn text_map(self, field: &str, map: &BTreeMap<String, String>) -> Self {
        if map.is_empty() { self } else { self.always(field, sorted(map)) }
    }

    /// The unknown fields, behind all others.
    pub(crate) fn rest(mut self, rest: &Map<String, Value>) -> Value {
        self.map.extend(rest.iter().map(|(name, value)| (name.clone(), value.clone())));
        Value::Object(self.map)
    }
}

fn sorted(map: &BTreeMap<String, String>) -> Value {
    map.iter().map(|(name, value)| (name.clone(), Value::from(value.as_str()))).collect::<Map<_, _>>().into()
}

/// Compact JSON.
pub(crate) fn bytes(value: &Value) -> Vec<u8> {
    value.to_string().into_bytes()
}
