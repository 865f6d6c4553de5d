//! What is remembered of an instruction.

use serde_json::{Value, json};
use steprun_ports::{Blob, Layer, Remembered, Timestamp};

/// What came of an instruction that had these inputs before.
#[derive(Debug, Clone)]
pub(crate) struct Record<B> {
    pub(crate) content: Content<B>,
    /// The time of the newest file that went in.
    pub(crate) newest: Option<Timestamp>,
}

/// The change of the file system.
#[derive(Debug, Clone)]
pub(crate) enum Content<B> {
    /// There is none.
    Unchanged,
    /// This layer.
    Layer(Layer<B>),
    /// Some: the instruction is known to succeed and is done again, where somebody needs its files.
    Repeatable,
}

impl<B: Blob> Record<B> {
    /// The layer's blob, where there is one.
    pub(crate) fn blobs(&self) -> Vec<B> {
        match &self.content {
            Content::Layer(layer) => vec![layer.blob.clone()],
            Content::Unchanged | Content::Repeatable => Vec::new(),
        }
    }

    /// All but the blob.
    pub(crate) fn to_json(&self) -> Value {
        let mut value = match &self.content {
            Content::Unchanged => json!({"change": "none"}),
            Content::Layer(layer) => json!({"change": "layer", "diffId": layer.diff_id}),
            Content::Repeatable => json!({"change": "repeatable"}),
        };
        if let Some(newest) = self.newest {
            value["newest"] = json!([newest.seconds, newest.nanoseconds]);
        }
        value
    }

    /// What [`Record::to_json`] wrote, with the layer's blob; none if it is something else.
    pub(crate) fn from_json(value: &Value, blob: Option<B>) -> Option<Self> {
        let content = match value["change"].as_str()? {
            "none" => Content::Unchanged,
            "layer" => Content::Layer(Layer { blob: blob?, diff_id: value["diffId"].as_str()?.to_owned() }),
            "repeatable" => Content::Repeatable,
            _ => return None,
        };
        let newest = match &value["newest"] {
            Value::Null => None,
            time => {
                let nanoseconds = time.get(1)?.as_u64().and_then(|number| u32::try_from(number).ok())?;
                Some(Timestamp { seconds: time.get(0)?.as_i64()?, nanoseconds })
            }
        };
        Some(Self { content, newest })
    }

    /// What the host's cache gave back.
    pub(crate) fn recalled(entry: Remembered<B>) -> Option<Self> {
        Self::from_json(&serde_json::from_slice(&entry.content).ok()?, entry.blobs.into_iter().next())
    }
}
