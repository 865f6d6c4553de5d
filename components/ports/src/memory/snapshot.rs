//! Snapshots: eager trees, and layers in an encoding of our own.
//!
//! A layer is a line [`PLAIN`] and then one JSON array a change: path, kind, mode, owner, group, modification time, payload. A
//! "compressed" layer is the same behind a line [`GZIP`], so that its digest differs from its diff ID.

use std::collections::BTreeMap;
use std::rc::Rc;

use serde_json::{Value, json};

use super::files::{MemoryDirectory, MemoryOutputDirectory, MemoryOutputFile, Written};
use super::process::{self, MemoryAgent, MemoryProcess, MemorySecret};
use super::tree::{FileTree, Missing, Node, NodeKind, literal};
use super::{MemoryBlob, MemoryHost, digest};
use crate::{
    Blob, Change, ChangeEntry, Difference, DifferenceKind, Entry, Error, Layer, LayerCompression, Outcome, OutputFile,
    Result, Snapshot, Source, SourceFile, Stat, Timestamp, Tree,
};

const PLAIN: &[u8] = b"steprun-memory-layer\n";
const GZIP: &[u8] = b"gzip\n";
const MEDIA_TYPE: &str = "application/vnd.oci.image.layer.v1.tar";

/// What a layer does: nodes by path; none where one is removed.
pub(super) type Changes = BTreeMap<String, Option<Node>>;

/// A file system as a value.
#[derive(Clone)]
pub struct MemorySnapshot {
    host: MemoryHost,
    tree: Rc<FileTree>,
    /// The tree before the last `extend` or `run`.
    before: Rc<FileTree>,
}

impl MemorySnapshot {
    pub(super) fn new(host: MemoryHost, tree: FileTree) -> Self {
        let tree = Rc::new(tree);
        Self { host, before: tree.clone(), tree }
    }

    /// This one after a change.
    fn after(&self, tree: FileTree) -> Self {
        Self { host: self.host.clone(), tree: Rc::new(tree), before: self.tree.clone() }
    }

    /// What a command saw at some paths.
    fn saw(&self, paths: impl Iterator<Item = String>) -> MemoryBlob {
        let seen: BTreeMap<String, Option<String>> = paths.map(|path| (path.clone(), self.shown(&path))).collect();
        self.host.store_blob("application/vnd.steprun.memory.reads", json!(seen).to_string().as_bytes())
    }

    /// What is at a path, but for its time.
    fn shown(&self, path: &str) -> Option<String> {
        let node = self.tree.get(path)?.clone();
        Some(format!("{:?}", Node { modified: Timestamp::default(), ..node }))
    }

    /// All of it.
    pub fn tree(&self) -> &FileTree {
        &self.tree
    }
}

impl Tree for MemorySnapshot {
    async fn stat(&self, path: &str, follow: bool) -> Result<Stat> {
        self.tree.stat(path, follow)
    }

    async fn list(&self, path: &str) -> Result<Vec<Entry>> {
        self.tree.list(path)
    }

    async fn read(&self, path: &str, limit: u64) -> Result<Vec<u8>> {
        self.tree.read(path, limit)
    }

    async fn real_path(&self, path: &str) -> Result<String> {
        self.tree.resolve(path, true, Missing::Keep)
    }
}

impl Snapshot for MemorySnapshot {
    type Directory = MemoryDirectory;
    type Blob = MemoryBlob;
    type OutputFile = MemoryOutputFile;
    type OutputDirectory = MemoryOutputDirectory;
    type Secret = MemorySecret;
    type Agent = MemoryAgent;

    async fn extend(&self, sources: &[Source<MemoryDirectory, Self>], entries: Vec<ChangeEntry>) -> Result<Self> {
        let trees: Vec<&FileTree> = sources
            .iter()
            .map(|source| match source {
                Source::Directory(directory) => &*directory.tree,
                Source::Snapshot(snapshot) => &*snapshot.tree,
            })
            .collect();
        for entry in &entries {
            let Change::File(SourceFile { source, path }) = &entry.change else { continue };
            if let Some(Source::Directory(directory)) = sources.get(*source as usize) {
                directory.check_readable(path)?;
            }
        }
        let mut tree = FileTree::clone(&self.tree);
        entries.into_iter().try_for_each(|entry| apply(&mut tree, &trees, entry))?;
        Ok(self.after(tree))
    }

    async fn run(&self, process: MemoryProcess) -> Result<Outcome<Self, MemoryBlob>> {
        let asked = process.reads.clone();
        let outcome = process::run(&self.host, &self.tree, process).await?;
        let snapshot = outcome.files.map(|tree| self.after(tree));
        let process::MemoryOutcome { status, reason, output, remedy, reads, .. } = outcome;
        let reads = asked.zip(reads).map(|(own, reads)| self.saw(own.into_iter().chain(reads)));
        Ok(Outcome { status, reason, output, snapshot, remedy, reads })
    }

    async fn differs(&self, reads: &MemoryBlob) -> Result<Option<Difference>> {
        let seen: BTreeMap<String, Option<String>> = serde_json::from_slice(&reads.read(u64::MAX).await?)
            .map_err(|error| Error::Invalid(format!("this is no record of what a command read: {error}")))?;
        let differs = |(path, before): (String, Option<String>)| {
            let kind = match (before, self.shown(&path)) {
                (None, Some(_)) => DifferenceKind::New,
                (Some(_), None) => DifferenceKind::Gone,
                (before, now) if before != now => DifferenceKind::Changed,
                _ => return None,
            };
            Some(Difference { path, kind })
        };
        Ok(seen.into_iter().find_map(differs))
    }

    async fn pack(&self, gzip: bool) -> Result<Option<Layer<MemoryBlob>>> {
        let changes = changes(&self.before, &self.tree);
        Ok((!changes.is_empty()).then(|| store_layer(&self.host, changes, gzip)))
    }

    async fn write_file(&self, path: &str, to: &MemoryOutputFile) -> Result<()> {
        to.write(&self.tree.read(path, u64::MAX)?).await
    }

    async fn export(&self, to: &MemoryOutputFile) -> Result<()> {
        to.set(Written::FileSystem(FileTree::clone(&self.tree)));
        Ok(())
    }

    /// There are no device nodes here.
    async fn unpack(&self, to: &MemoryOutputDirectory, below: &str) -> Result<Vec<String>> {
        to.set(below, Written::FileSystem(FileTree::clone(&self.tree)));
        Ok(Vec::new())
    }
}

fn apply(tree: &mut FileTree, sources: &[&FileTree], entry: ChangeEntry) -> Result<()> {
    let path = literal(&entry.path)?;
    let invalid = |why: String| Err(Error::Invalid(format!("`{path}` can't be changed: {why}")));
    if path.is_empty() {
        return match entry.change {
            Change::Directory => Ok(()),
            _ => invalid("it is the root".into()),
        };
    }
    let parent = path.rsplit_once('/').map_or("", |(parent, _)| parent);
    if entry.change != Change::Removed && !tree.is_directory(parent) {
        return invalid(format!("`{parent}` is no directory"));
    }
    let kind = match entry.change {
        Change::Removed => {
            tree.remove(&path);
            return Ok(());
        }
        Change::HardLink(target) => {
            let target = literal(&target)?;
            return match tree.join_link_group(&target) {
                Some(node) if node.kind != NodeKind::Directory => {
                    tree.remove(&path);
                    tree.insert(path, node);
                    Ok(())
                }
                _ => invalid(format!("there is no file `{target}` to link to")),
            };
        }
        Change::File(SourceFile { source, path: from }) => {
            let found = sources.get(source as usize).and_then(|tree| tree.get(&from));
            match found.map(|node| &node.kind) {
                Some(node @ (NodeKind::File(_) | NodeKind::Device { .. })) => node.clone(),
                _ => return invalid(format!("source {source} has no regular file `{from}`")),
            }
        }
        Change::Inline(content) => NodeKind::File(content.into()),
        Change::Directory => NodeKind::Directory,
        Change::Symlink(target) => NodeKind::Symlink(target),
        Change::Fifo => NodeKind::Fifo,
        Change::Device { block, major, minor } => NodeKind::Device { block, major, minor },
    };
    if kind != NodeKind::Directory || !tree.is_directory(&path) {
        tree.remove(&path);
    }
    let mode = if matches!(kind, NodeKind::Symlink(_)) { 0o777 } else { entry.mode };
    let ChangeEntry { uid, gid, modified, .. } = entry;
    tree.insert(path, Node { kind, mode, uid, gid, modified, link_group: None });
    Ok(())
}

/// What leads from one tree to another.
pub(super) fn changes(before: &FileTree, after: &FileTree) -> Changes {
    let gone = before.iter().filter(|(path, _)| after.get(path).is_none()).map(|(path, _)| (path.to_owned(), None));
    let new = after.iter().filter(|(path, node)| before.get(path) != Some(node));
    let mut changes: Changes = gone.chain(new.map(|(path, node)| (path.to_owned(), Some(node.clone())))).collect();
    let removed: Vec<String> =
        changes.iter().filter(|(_, node)| node.is_none()).map(|(path, _)| format!("{path}/")).collect();
    changes.retain(|path, _| !removed.iter().any(|above| path.starts_with(above)));
    changes
}

/// Encodes changes into a layer of the store.
pub(super) fn store_layer(host: &MemoryHost, changes: Changes, gzip: bool) -> Layer<MemoryBlob> {
    let mut plain = PLAIN.to_vec();
    for (path, node) in &changes {
        plain.extend_from_slice(encode(path, node.as_ref()).to_string().as_bytes());
        plain.push(b'\n');
    }
    let diff_id = digest(&plain);
    let blob = if gzip {
        host.store_blob(&format!("{MEDIA_TYPE}+gzip"), &[GZIP, &plain].concat())
    } else {
        host.store_blob(MEDIA_TYPE, &plain)
    };
    Layer { blob, diff_id }
}

fn encode(path: &str, node: Option<&Node>) -> Value {
    let Some(node) = node else {
        return json!([path, "removed"]);
    };
    let (kind, payload) = match &node.kind {
        NodeKind::File(content) => ("file", json!(&content[..])),
        NodeKind::Directory => ("directory", Value::Null),
        NodeKind::Symlink(target) => ("symlink", json!(target)),
        NodeKind::Fifo => ("fifo", Value::Null),
        NodeKind::Device { block, major, minor } => ("device", json!([block, major, minor])),
    };
    let Timestamp { seconds, nanoseconds } = node.modified;
    json!([path, kind, node.mode, node.uid, node.gid, seconds, nanoseconds, node.link_group, payload])
}

fn decode(line: &[u8]) -> Option<(String, Option<Node>)> {
    let value: Value = serde_json::from_slice(line).ok()?;
    let path = value[0].as_str()?.to_owned();
    let number = |value: &Value| value.as_u64().and_then(|number| u32::try_from(number).ok());
    let payload = &value[8];
    let kind = match value[1].as_str()? {
        "removed" => return Some((path, None)),
        "file" => {
            let bytes = payload.as_array()?.iter().map(|byte| byte.as_u64().and_then(|byte| u8::try_from(byte).ok()));
            NodeKind::File(bytes.collect::<Option<Vec<u8>>>()?.into())
        }
        "directory" => NodeKind::Directory,
        "symlink" => NodeKind::Symlink(payload.as_str()?.to_owned()),
        "fifo" => NodeKind::Fifo,
        "device" => {
            NodeKind::Device { block: payload[0].as_bool()?, major: number(&payload[1])?, minor: number(&payload[2])? }
        }
        _ => return None,
    };
    let modified = Timestamp { seconds: value[5].as_i64()?, nanoseconds: number(&value[6])? };
    let (mode, uid, gid) = (number(&value[2])?, number(&value[3])?, number(&value[4])?);
    Some((path, Some(Node { kind, mode, uid, gid, modified, link_group: value[7].as_u64() })))
}

/// The plain form of a layer's bytes and whether they were "compressed"; none if they are no layer.
fn plain(content: &[u8]) -> Option<(&[u8], bool)> {
    let packed = content.strip_prefix(GZIP).or_else(|| content.strip_prefix(ZSTD));
    let (plain, gzip) = packed.map_or((content, false), |plain| (plain, true));
    plain.starts_with(PLAIN).then_some((plain, gzip))
}

fn apply_layer(tree: &mut FileTree, plain: &[u8]) -> Result<()> {
    for line in plain[PLAIN.len()..].split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
        let (path, node) = decode(line).ok_or_else(|| Error::Corrupt("a layer has a malformed line".into()))?;
        let keeps = node.as_ref().is_some_and(|node| node.kind == NodeKind::Directory) && tree.is_directory(&path);
        if !keeps {
            tree.remove(&path);
        }
        if let Some(node) = node {
            tree.insert(path, node);
        }
    }
    Ok(())
}

pub(super) async fn from_layers(host: &MemoryHost, layers: &[Layer<MemoryBlob>]) -> Result<MemorySnapshot> {
    let mut tree = FileTree::new();
    for Layer { blob, diff_id } in layers {
        let content = blob.read(u64::MAX).await?;
        let name = blob.descriptor().digest;
        let (plain, _) = plain(&content).ok_or_else(|| Error::Invalid(format!("{name} is no layer")))?;
        if digest(plain) != *diff_id {
            return Err(Error::Corrupt(format!("{name} has not the diff ID {diff_id}")));
        }
        apply_layer(&mut tree, plain)?;
    }
    Ok(MemorySnapshot::new(host.clone(), tree))
}

pub(super) fn from_archive(host: &MemoryHost, content: &[u8]) -> Result<Option<MemorySnapshot>> {
    let Some((plain, _)) = plain(content) else {
        return Ok(None);
    };
    let mut tree = FileTree::new();
    apply_layer(&mut tree, plain)?;
    Ok(Some(MemorySnapshot::new(host.clone(), tree)))
}

const ZSTD: &[u8] = b"zstd\n";

/// A layer in another "compression".
pub(super) fn recompress(host: &MemoryHost, content: &[u8], to: LayerCompression) -> Result<MemoryBlob> {
    let (plain, _) = plain(content).ok_or_else(|| Error::Invalid("the layer can't be decompressed".into()))?;
    Ok(match to {
        LayerCompression::Gzip => host.store_blob(&format!("{MEDIA_TYPE}+gzip"), &[GZIP, plain].concat()),
        LayerCompression::Zstd => host.store_blob(&format!("{MEDIA_TYPE}+zstd"), &[ZSTD, plain].concat()),
    })
}

pub(super) fn import_layer(host: &MemoryHost, content: &[u8]) -> Result<Layer<MemoryBlob>> {
    let (plain, gzip) = plain(content).ok_or_else(|| Error::Invalid("the file is no tar archive".into()))?;
    let media_type = if gzip { format!("{MEDIA_TYPE}+gzip") } else { MEDIA_TYPE.into() };
    Ok(Layer { diff_id: digest(plain), blob: host.store_blob(&media_type, content) })
}
