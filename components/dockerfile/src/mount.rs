//! `RUN --mount` (BuildKit: `instructions/commands_runmount.go`).

mod parse;
mod resolve;

use crate::span::{Span, Word};

/// `--mount=type=cache,target=$HOME/.cache`, checked but not yet expanded. [`MountSpec::resolve`] makes a [`Mount`] of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MountSpec {
    /// Keys in lower case and their values, in order. A key alone (`ro`, `required`) has none.
    pub fields: Vec<MountField>,
    /// The flag's value.
    pub span: Span,
}

/// `key=value` or `key` of a mount.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MountField {
    /// One of those in the reference, aliases already replaced: `src` by `source`, `dst` and `destination` by `target`, `ro` by
    /// `readonly`, `rw` by `readwrite`.
    pub key: MountKey,
    /// Unexpanded value.
    pub value: Option<Word>,
}

/// Key of a mount field.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[allow(missing_docs)]
pub enum MountKey {
    Type,
    From,
    Source,
    Target,
    ReadOnly,
    ReadWrite,
    Required,
    Size,
    Id,
    Sharing,
    Mode,
    Uid,
    Gid,
    Env,
}

/// A mount with its values expanded. Paths are as written: relative targets are below the working directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Mount {
    /// Files of the context, a stage, an image or a named context.
    Bind {
        /// Where from; the context when none.
        from: Option<String>,
        /// Path there; empty means its root.
        source: String,
        /// Where it is seen.
        target: String,
        /// Writes are possible, and dropped afterwards.
        writable: bool,
    },
    /// A directory that outlives the build.
    Cache {
        /// What it is shared by; the cleaned target when none.
        id: Option<String>,
        /// Initial content; none means an empty directory.
        from: Option<String>,
        /// Path in `from`; empty means its root.
        source: String,
        /// Where it is seen.
        target: String,
        /// Whether it can be written.
        writable: bool,
        /// What users at the same time see.
        sharing: Sharing,
        /// Mode of a new directory, at most 0o7777; 0o755 when none.
        mode: Option<u32>,
        /// Owner of a new directory; 0 when none.
        uid: Option<u32>,
        /// Group of a new directory; 0 when none.
        gid: Option<u32>,
    },
    /// Memory.
    Tmpfs {
        /// Where it is seen.
        target: String,
        /// Bytes it can hold; unlimited when none.
        size: Option<u64>,
    },
    /// A secret file, a secret variable, or both.
    Secret {
        /// Which one.
        id: String,
        /// File it is seen as; none when only `env` is wanted.
        target: Option<String>,
        /// Variable it is seen as.
        env: Option<String>,
        /// Whether the build fails without it.
        required: bool,
        /// Mode of the file; 0o400 when none.
        mode: Option<u32>,
        /// Owner of the file; 0 when none.
        uid: Option<u32>,
        /// Group of the file; 0 when none.
        gid: Option<u32>,
    },
    /// Socket of an SSH agent.
    Ssh {
        /// Which agent; `default` when none.
        id: Option<String>,
        /// Path of the socket; `/run/buildkit/ssh_agent.N` in BuildKit when none.
        target: Option<String>,
        /// Whether the build fails without it.
        required: bool,
        /// Mode of the socket; 0o600 when none.
        mode: Option<u32>,
        /// Owner of the socket; 0 when none.
        uid: Option<u32>,
        /// Group of the socket; 0 when none.
        gid: Option<u32>,
    },
}

/// How uses of a cache mount at the same time share it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Sharing {
    /// All see one directory.
    #[default]
    Shared,
    /// Each gets one of its own.
    Private,
    /// One after the other.
    Locked,
}
