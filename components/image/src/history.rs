//! The history of an image.

use serde_json::{Map, Value};
use steprun_ports::Timestamp;

use crate::document::{Fields, Writer};
use crate::{Result, time};

/// How a layer, or a change of the config alone, came about.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct History {
    /// RFC 3339.
    pub created: Option<String>,
    /// The instruction.
    pub created_by: Option<String>,
    /// Who.
    pub author: Option<String>,
    /// `buildkit.dockerfile.v0` says which reading of the instruction made it.
    pub comment: Option<String>,
    /// Whether it made no layer.
    pub empty_layer: bool,
    rest: Map<String, Value>,
}

impl History {
    /// An entry for an instruction.
    pub fn new(created: Option<Timestamp>, created_by: &str, empty_layer: bool) -> Self {
        let created = created.map(time::format);
        Self { created, created_by: Some(created_by.into()), empty_layer, ..Self::default() }
    }

    /// The same with a comment.
    #[must_use]
    pub fn comment(self, comment: &str) -> Self {
        Self { comment: Some(comment.into()), ..self }
    }

    pub(crate) fn read(value: Value) -> Result<Self> {
        let mut fields = Fields::of("history entry", value)?;
        Ok(Self {
            created: fields.text("created")?,
            created_by: fields.text("created_by")?,
            author: fields.text("author")?,
            comment: fields.text("comment")?,
            empty_layer: fields.flag("empty_layer")?,
            rest: fields.rest(),
        })
    }

    pub(crate) fn write(&self) -> Value {
        Writer::default()
            .some("created", self.created.as_deref())
            .some("created_by", self.created_by.as_deref())
            .some("author", self.author.as_deref())
            .some("comment", self.comment.as_deref())
            .some("empty_layer", self.empty_layer.then_some(true))
            .rest(&self.rest)
    }
}
