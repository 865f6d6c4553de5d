//! The answers: bodies, headers that all share, and errors in the spec's JSON.

use std::fs::File;
use std::io::Read;
use std::pin::Pin;
use std::task::{Context, Poll};

use http::{HeaderValue, Response, StatusCode, header};
use http_body_util::{Either, Full};
use hyper::body::{Body as HttpBody, Bytes, Frame, SizeHint};
use tokio::sync::mpsc;

use crate::error::Error;

/// Any body of this registry.
pub(crate) type Body = Either<Full<Bytes>, FileBody>;

/// Bytes read from a file at once; with the queue below it bounds the memory of a download.
const READ_SIZE: usize = 256 * 1024;

/// Reads ahead of the network.
const READ_QUEUE: usize = 2;

/// A part of a file as a body; a thread of the blocking pool reads ahead.
#[derive(Debug)]
pub(crate) struct FileBody {
    chunks: mpsc::Receiver<std::io::Result<Bytes>>,
    remaining: u64,
}

impl FileBody {
    /// The next `length` bytes of `file`. Must be called inside a Tokio runtime.
    pub(crate) fn new(file: File, length: u64) -> Self {
        let (sender, chunks) = mpsc::channel(READ_QUEUE);
        tokio::task::spawn_blocking(move || read_into(&sender, file, length));
        Self { chunks, remaining: length }
    }
}

fn read_into(sender: &mpsc::Sender<std::io::Result<Bytes>>, mut file: File, mut left: u64) {
    while left > 0 {
        let want = usize::try_from(left).unwrap_or(usize::MAX).min(READ_SIZE);
        let mut chunk = vec![0; want];
        let result = file.read_exact(&mut chunk).map(|()| Bytes::from(chunk));
        let failed = result.is_err();
        // A closed channel: the client went away.
        if sender.blocking_send(result).is_err() || failed {
            return;
        }
        left -= want as u64;
    }
}

impl HttpBody for FileBody {
    type Data = Bytes;
    type Error = std::io::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        self.chunks.poll_recv(cx).map(|next| {
            next.map(|chunk| {
                chunk.map(|bytes| {
                    self.remaining -= bytes.len() as u64;
                    Frame::data(bytes)
                })
            })
        })
    }

    fn is_end_stream(&self) -> bool {
        self.remaining == 0
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.remaining)
    }
}

/// An answer under construction. Header values that HTTP forbids are left out; those of this registry are ASCII by their grammar.
#[derive(Debug)]
pub(crate) struct Answer(Response<Body>);

impl Answer {
    /// An answer without a body.
    pub(crate) fn new(status: StatusCode) -> Self {
        Self::with_body(status, Either::Left(Full::default()))
    }

    /// An answer of bytes.
    pub(crate) fn bytes(status: StatusCode, content_type: &str, content: impl Into<Bytes>) -> Self {
        Self::with_body(status, Either::Left(Full::new(content.into())))
            .header(header::CONTENT_TYPE.as_str(), content_type)
    }

    /// An answer in JSON.
    pub(crate) fn json(status: StatusCode, content_type: &str, value: &serde_json::Value) -> Self {
        Self::bytes(status, content_type, value.to_string())
    }

    /// An answer from a file.
    pub(crate) fn file(status: StatusCode, body: FileBody) -> Self {
        Self::with_body(status, Either::Right(body)).header(header::CONTENT_TYPE.as_str(), "application/octet-stream")
    }

    fn with_body(status: StatusCode, body: Body) -> Self {
        let mut response = Response::new(body);
        *response.status_mut() = status;
        let version = HeaderValue::from_static("registry/2.0");
        response.headers_mut().insert("docker-distribution-api-version", version);
        Self(response)
    }

    /// Adds a header.
    pub(crate) fn header(mut self, name: &'static str, value: impl ToString) -> Self {
        if let Ok(value) = HeaderValue::from_str(&value.to_string()) {
            self.0.headers_mut().insert(name, value);
        }
        self
    }

    /// The response for hyper.
    pub(crate) fn into_response(self) -> Response<Body> {
        self.0
    }
}

impl From<Error> for Answer {
    fn from(error: Error) -> Self {
        let errors =
            serde_json::json!({ "errors": [{ "code": error.code(), "message": error.to_string(), "detail": null }] });
        let answer = Self::json(error.status(), "application/json", &errors);
        match error {
            Error::MethodNotAllowed(allowed) => answer.header("allow", allowed),
            Error::RangeInvalid { size, .. } => answer.header("content-range", format!("bytes */{size}")),
            Error::UploadOutOfOrder { offset, location, .. } => {
                answer.header("range", received(offset)).header("location", location)
            }
            _ => answer,
        }
    }
}

/// What an upload has received, as `Range` says it. Nothing yet reads `0-0`, as with Docker's registry: the spec has no word for it.
pub(crate) fn received(offset: u64) -> String {
    format!("0-{}", offset.saturating_sub(1))
}
