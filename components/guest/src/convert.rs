//! Between the types of the ports and those of the bindings, which mirror each other.

use steprun_ports as ports;

use crate::bindings::exports::steprun::step::step;
use crate::bindings::steprun::step::{context, outputs, progress, registry, snapshots, store, types};

impl From<types::Error> for ports::Error {
    fn from(error: types::Error) -> Self {
        match error {
            types::Error::Denied(types::Denial { capability, subject, reason, remedy }) => {
                Self::Denied(ports::Denial { capability, subject, reason, remedy })
            }
            types::Error::NotFound(message) => Self::NotFound(message),
            types::Error::Unauthorized(message) => Self::Unauthorized(message),
            types::Error::Unavailable(message) => Self::Unavailable(message),
            types::Error::Corrupt(message) => Self::Corrupt(message),
            types::Error::Invalid(message) => Self::Invalid(message),
            types::Error::Unsupported(message) => Self::Unsupported(message),
            types::Error::Io(message) => Self::Io(message),
            types::Error::Other(message) => Self::Other(message),
        }
    }
}

impl From<types::Timestamp> for ports::Timestamp {
    fn from(types::Timestamp { seconds, nanoseconds }: types::Timestamp) -> Self {
        Self { seconds, nanoseconds }
    }
}

impl From<ports::Timestamp> for types::Timestamp {
    fn from(ports::Timestamp { seconds, nanoseconds }: ports::Timestamp) -> Self {
        Self { seconds, nanoseconds }
    }
}

impl From<types::Descriptor> for ports::Descriptor {
    fn from(types::Descriptor { media_type, digest, size }: types::Descriptor) -> Self {
        Self { media_type, digest, size }
    }
}

impl From<&ports::Descriptor> for types::Descriptor {
    fn from(descriptor: &ports::Descriptor) -> Self {
        let ports::Descriptor { media_type, digest, size } = descriptor.clone();
        Self { media_type, digest, size }
    }
}

impl From<ports::Position> for types::Position {
    fn from(ports::Position { file, line, column }: ports::Position) -> Self {
        Self { file, line, column }
    }
}

impl From<context::FileKind> for ports::FileKind {
    fn from(kind: context::FileKind) -> Self {
        match kind {
            context::FileKind::Regular => Self::Regular,
            context::FileKind::Directory => Self::Directory,
            context::FileKind::Symlink => Self::Symlink,
            context::FileKind::Fifo => Self::Fifo,
            context::FileKind::Socket => Self::Socket,
            context::FileKind::CharacterDevice => Self::CharacterDevice,
            context::FileKind::BlockDevice => Self::BlockDevice,
        }
    }
}

impl From<context::Stat> for ports::Stat {
    fn from(stat: context::Stat) -> Self {
        let context::Stat { kind, mode, uid, gid, size, modified, target, link_group } = stat;
        Self { kind: kind.into(), mode, uid, gid, size, modified: modified.into(), target, link_group }
    }
}

impl From<context::Entry> for ports::Entry {
    fn from(context::Entry { name, stat }: context::Entry) -> Self {
        Self { name, stat: stat.into() }
    }
}

impl From<context::Commit> for ports::Commit {
    fn from(context::Commit { repository, id, time }: context::Commit) -> Self {
        Self { repository, id, time: time.into() }
    }
}

impl From<registry::Manifest> for ports::Manifest {
    fn from(registry::Manifest { descriptor, content }: registry::Manifest) -> Self {
        Self { descriptor: descriptor.into(), content }
    }
}

impl From<registry::Referrer> for ports::Referrer {
    fn from(registry::Referrer { descriptor, artifact_type, annotations }: registry::Referrer) -> Self {
        Self { descriptor: descriptor.into(), artifact_type, annotations }
    }
}

impl From<ports::LayerCompression> for store::LayerCompression {
    fn from(compression: ports::LayerCompression) -> Self {
        match compression {
            ports::LayerCompression::Gzip => Self::Gzip,
            ports::LayerCompression::Zstd => Self::Zstd,
        }
    }
}

impl From<registry::PushOutcome> for ports::PushOutcome {
    fn from(outcome: registry::PushOutcome) -> Self {
        match outcome {
            registry::PushOutcome::Existing => Self::Existing,
            registry::PushOutcome::Mounted => Self::Mounted,
            registry::PushOutcome::Uploaded => Self::Uploaded,
        }
    }
}

impl From<ports::Change> for snapshots::Change {
    fn from(change: ports::Change) -> Self {
        match change {
            ports::Change::File(ports::SourceFile { source, path }) => {
                Self::File(snapshots::SourceFile { source, path })
            }
            ports::Change::Inline(content) => Self::Inline(content),
            ports::Change::Directory => Self::Directory,
            ports::Change::Symlink(target) => Self::Symlink(target),
            ports::Change::HardLink(target) => Self::HardLink(target),
            ports::Change::Fifo => Self::Fifo,
            ports::Change::Device { block, major, minor } => Self::Device((block, major, minor)),
            ports::Change::Removed => Self::Removed,
        }
    }
}

impl From<ports::ChangeEntry> for snapshots::ChangeEntry {
    fn from(entry: ports::ChangeEntry) -> Self {
        let ports::ChangeEntry { path, change, mode, uid, gid, modified } = entry;
        Self { path, change: change.into(), mode, uid, gid, modified: modified.into() }
    }
}

impl From<ports::OutputImage> for outputs::Image {
    fn from(ports::OutputImage { media_type, manifest, names }: ports::OutputImage) -> Self {
        Self { media_type, manifest, names }
    }
}

impl From<ports::ArchiveFormat> for outputs::ArchiveFormat {
    fn from(format: ports::ArchiveFormat) -> Self {
        match format {
            ports::ArchiveFormat::Docker => Self::Docker,
            ports::ArchiveFormat::Legacy => Self::Legacy,
            ports::ArchiveFormat::Oci => Self::Oci,
            ports::ArchiveFormat::Layout => Self::Layout,
        }
    }
}

impl From<ports::Level> for progress::Level {
    fn from(level: ports::Level) -> Self {
        match level {
            ports::Level::Debug => Self::Debug,
            ports::Level::Info => Self::Info,
            ports::Level::Warning => Self::Warning,
        }
    }
}

impl From<ports::RegistryAccess> for step::RegistryAccess {
    fn from(access: ports::RegistryAccess) -> Self {
        match access {
            ports::RegistryAccess::Pull => Self::Pull,
            ports::RegistryAccess::Push => Self::Push,
            ports::RegistryAccess::Delete => Self::Delete,
        }
    }
}

impl From<ports::FileAccess> for step::FileAccess {
    fn from(access: ports::FileAccess) -> Self {
        match access {
            ports::FileAccess::Read => Self::Read,
            ports::FileAccess::Write => Self::Write,
        }
    }
}

impl From<ports::ValueKind> for step::ValueKind {
    fn from(kind: ports::ValueKind) -> Self {
        match kind {
            ports::ValueKind::Flag => Self::Flag,
            ports::ValueKind::Text => Self::Text,
            ports::ValueKind::Integer => Self::Integer,
            ports::ValueKind::Pair => Self::Pair,
            ports::ValueKind::Choice(words) => Self::Choice(owned(words)),
            ports::ValueKind::ContextDirectory => Self::ContextDirectory,
            ports::ValueKind::Image(access) => Self::Image(access.into()),
            ports::ValueKind::Place(access) => Self::Place(access.into()),
            ports::ValueKind::Catalog => Self::Catalog,
            ports::ValueKind::Time => Self::Time,
            ports::ValueKind::Repository(access) => Self::Repository(access.into()),
            ports::ValueKind::Namespace(access) => Self::Namespace(access.into()),
            ports::ValueKind::File(access) => Self::File(access.into()),
            ports::ValueKind::OutputDirectory => Self::OutputDirectory,
            ports::ValueKind::Secret => Self::Secret,
            ports::ValueKind::SshAgent => Self::SshAgent,
            ports::ValueKind::NamedContext => Self::NamedContext,
        }
    }
}

impl From<ports::Arity> for step::Arity {
    fn from(arity: ports::Arity) -> Self {
        match arity {
            ports::Arity::Optional => Self::Optional,
            ports::Arity::Required => Self::Required,
            ports::Arity::Repeated => Self::Repeated,
            ports::Arity::RepeatedRequired => Self::RepeatedRequired,
        }
    }
}

impl From<ports::Placement> for step::Placement {
    fn from(placement: ports::Placement) -> Self {
        match placement {
            ports::Placement::Option => Self::Option,
            ports::Placement::Operand => Self::Operand,
        }
    }
}

impl From<ports::Parameter> for step::Parameter {
    fn from(parameter: ports::Parameter) -> Self {
        Self {
            name: parameter.name.into(),
            short: parameter.short,
            aliases: owned(parameter.aliases),
            placement: parameter.placement.into(),
            value: parameter.value.into(),
            arity: parameter.arity.into(),
            default: parameter.default.map(Into::into),
            environment: parameter.environment.map(Into::into),
            value_name: parameter.value_name.into(),
            summary: parameter.summary.into(),
        }
    }
}

impl From<ports::Command> for step::Command {
    fn from(command: ports::Command) -> Self {
        Self {
            name: command.name.into(),
            aliases: owned(command.aliases),
            summary: command.summary.into(),
            details: command.details.into(),
            parameters: all(command.parameters),
        }
    }
}

impl From<ports::Description> for step::Description {
    fn from(description: ports::Description) -> Self {
        Self {
            name: description.name.into(),
            version: description.version.into(),
            summary: description.summary.into(),
            commands: all(description.commands),
        }
    }
}

impl From<ports::FailureKind> for step::FailureKind {
    fn from(kind: ports::FailureKind) -> Self {
        match kind {
            ports::FailureKind::Failed => Self::Failed,
            ports::FailureKind::Usage => Self::Usage,
            ports::FailureKind::Denied => Self::Denied,
            ports::FailureKind::Verification => Self::Verification,
            ports::FailureKind::Unavailable => Self::Unavailable,
        }
    }
}

impl From<ports::Failure> for step::Failure {
    fn from(failure: ports::Failure) -> Self {
        let ports::Failure { kind, message, position, excerpt, causes, hint, exit_status } = failure;
        Self {
            kind: kind.into(),
            message,
            position: position.map(|position| (*position).into()),
            excerpt,
            causes,
            hint,
            exit_status,
        }
    }
}

/// Converts every item.
pub(crate) fn all<T, U: From<T>>(items: impl IntoIterator<Item = T>) -> Vec<U> {
    items.into_iter().map(U::from).collect()
}

fn owned(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}
