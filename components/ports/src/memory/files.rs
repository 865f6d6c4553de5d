//! Files and directories that arguments name.

use std::rc::Rc;

use super::registry::{MemoryBlob, MemoryRepository, referenced};
use super::tree::{FileTree, Missing, NodeKind, within};
use super::{MemoryHost, digest};
use crate::{
    ArchiveFormat, Blob, Commit, Descriptor, Digest, Directory, Entry, Error, InputFile, OutputDirectory, OutputFile,
    OutputImage, RegistryAccess, Result, Stat, Tree,
};

/// A granted directory.
#[derive(Clone)]
pub struct MemoryDirectory {
    name: String,
    pub(super) tree: Rc<FileTree>,
    commit: Option<Commit>,
}

impl MemoryDirectory {
    pub(super) fn new(name: &str, tree: FileTree) -> Self {
        Self { name: name.into(), tree: Rc::new(tree), commit: None }
    }

    pub(super) fn of_commit(self, commit: Commit) -> Self {
        Self { commit: Some(commit), ..self }
    }

    /// Fails as the caller's own system would: what has the mode 0 can't be opened.
    pub(super) fn check_readable(&self, path: &str) -> Result<()> {
        let real = self.tree.resolve(path, true, Missing::Fail)?;
        match self.tree.get(&real) {
            Some(node) if node.mode == 0 => Err(Error::Io(format!("can't open `{path}`: permission denied"))),
            _ => Ok(()),
        }
    }
}

impl Tree for MemoryDirectory {
    async fn stat(&self, path: &str, follow: bool) -> Result<Stat> {
        self.tree.stat(path, follow)
    }

    async fn list(&self, path: &str) -> Result<Vec<Entry>> {
        self.check_readable(path)?;
        self.tree.list(path)
    }

    async fn read(&self, path: &str, limit: u64) -> Result<Vec<u8>> {
        self.check_readable(path)?;
        self.tree.read(path, limit)
    }

    async fn real_path(&self, path: &str) -> Result<String> {
        self.tree.resolve(path, true, Missing::Fail)
    }
}

impl Directory for MemoryDirectory {
    fn name(&self) -> String {
        self.name.clone()
    }

    async fn lists(&self, paths: Vec<String>) -> Result<Vec<Vec<Entry>>> {
        let mut lists = Vec::with_capacity(paths.len());
        for path in &paths {
            lists.push(self.list(path).await?);
        }
        Ok(lists)
    }

    async fn digests(&self, paths: Vec<String>) -> Result<Vec<Digest>> {
        let one = |path: &String| {
            self.check_readable(path)?;
            match self.tree.get(path).map(|node| &node.kind) {
                Some(NodeKind::File(content)) => Ok(digest(content)),
                Some(_) => Err(Error::Invalid(format!("`{path}` is no regular file"))),
                None => Err(Error::NotFound(format!("there is no `{path}`"))),
            }
        };
        paths.iter().map(one).collect()
    }

    async fn commit(&self) -> Result<Option<Commit>> {
        Ok(self.commit.clone())
    }

    async fn below(&self, path: &str) -> Result<Self> {
        let real = self.tree.resolve(path, true, Missing::Fail)?;
        let tree = Rc::new(self.tree.below(&real)?);
        Ok(Self { name: format!("{}/{path}", self.name), tree, commit: self.commit.clone() })
    }
}

/// A file to read: one of [`MemoryHost::with_file`].
#[derive(Clone)]
pub struct MemoryInputFile {
    host: MemoryHost,
    path: String,
}

impl MemoryInputFile {
    pub(super) fn new(host: MemoryHost, path: String) -> Self {
        Self { host, path }
    }

    fn read_path(&self, path: &str, limit: u64) -> Result<Vec<u8>> {
        let state = self.host.state();
        let content = state.files.get(path).ok_or_else(|| Error::NotFound(format!("file `{path}` does not exist")))?;
        within(path, content, limit)
    }
}

impl InputFile for MemoryInputFile {
    type Repository = MemoryRepository;

    /// Those of the repository whose name is that of the file: a test fills it by [`MemoryHost::local`].
    async fn images(&self) -> Result<MemoryRepository> {
        let images = self.host.local(&self.path, RegistryAccess::Pull);
        match images.is_empty() {
            true => Err(Error::Invalid(format!("{} holds no images", self.path))),
            false => Ok(images),
        }
    }

    fn name(&self) -> String {
        self.path.clone()
    }

    fn is_standard_input(&self) -> bool {
        self.path == "-"
    }

    async fn read(&self, limit: u64) -> Result<Vec<u8>> {
        self.read_path(&self.path, limit)
    }

    async fn read_ignore_file(&self, limit: u64) -> Result<Vec<u8>> {
        self.read_path(&format!("{}.dockerignore", self.path), limit)
    }
}

/// What was written to a file or directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Written {
    /// These bytes.
    Bytes(Vec<u8>),
    /// Images with their blobs.
    Images {
        /// Form of the file.
        format: ArchiveFormat,
        /// Media type, manifest or index, and names of each.
        images: Vec<(String, Vec<u8>, Vec<String>)>,
        /// In the order given.
        blobs: Vec<Descriptor>,
    },
    /// Images of an OCI layout: media type, manifest and names of each.
    Layout(Vec<(String, Vec<u8>, Vec<String>)>),
    /// A whole file system.
    FileSystem(FileTree),
}

/// A file to write. Look at it with [`MemoryHost::written`].
#[derive(Clone)]
pub struct MemoryOutputFile {
    host: MemoryHost,
    path: String,
}

impl MemoryOutputFile {
    pub(super) fn new(host: MemoryHost, path: String) -> Self {
        Self { host, path }
    }

    pub(super) fn set(&self, written: Written) {
        self.host.state_mut().written.insert(self.path.clone(), written);
    }
}

impl OutputFile for MemoryOutputFile {
    type Blob = MemoryBlob;

    fn name(&self) -> String {
        self.path.clone()
    }

    async fn write(&self, content: &[u8]) -> Result<()> {
        if self.path == "-" {
            self.host.state_mut().stdout.extend_from_slice(content);
        } else {
            self.set(Written::Bytes(content.to_vec()));
        }
        Ok(())
    }

    async fn write_blob(&self, blob: &MemoryBlob) -> Result<()> {
        self.write(&blob.read(u64::MAX).await?).await
    }

    async fn write_images(&self, format: ArchiveFormat, images: Vec<OutputImage>, blobs: &[MemoryBlob]) -> Result<()> {
        for image in &images {
            check_whole(image, blobs).await?;
        }
        let blobs = blobs.iter().map(Blob::descriptor).collect();
        let image = |OutputImage { media_type, manifest, names }| (media_type, manifest, names);
        self.set(Written::Images { format, images: images.into_iter().map(image).collect(), blobs });
        Ok(())
    }
}

/// A directory to fill. Look at it with [`MemoryHost::written`].
#[derive(Clone)]
pub struct MemoryOutputDirectory {
    host: MemoryHost,
    path: String,
}

impl MemoryOutputDirectory {
    pub(super) fn new(host: MemoryHost, path: String) -> Self {
        Self { host, path }
    }

    /// Something in a directory below, or in itself.
    pub(super) fn set(&self, below: &str, written: Written) {
        let path =
            [self.path.as_str(), below].into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join("/");
        self.host.state_mut().written.insert(path, written);
    }
}

impl OutputDirectory for MemoryOutputDirectory {
    type Blob = MemoryBlob;

    fn name(&self) -> String {
        self.path.clone()
    }

    async fn write_layout(&self, image: OutputImage, blobs: &[MemoryBlob]) -> Result<()> {
        check_whole(&image, blobs).await?;
        let OutputImage { media_type, manifest, names } = image;
        let mut state = self.host.state_mut();
        let written = state.written.entry(self.path.clone()).or_insert_with(|| Written::Layout(Vec::new()));
        if let Written::Layout(images) = written {
            images.retain(|(_, _, others)| names.is_empty() || *others != names);
            images.push((media_type, manifest, names));
        }
        Ok(())
    }

    /// What is here is what was put in: nothing is garbage but what a test says.
    async fn collect_garbage(&self) -> Result<Vec<Digest>> {
        Ok(self.host.state().garbage.get(&self.path).cloned().unwrap_or_default())
    }
}

/// Fails unless the blobs are readable and are all that the manifest refers to.
async fn check_whole(image: &OutputImage, blobs: &[MemoryBlob]) -> Result<()> {
    for blob in blobs {
        blob.read(u64::MAX).await?;
    }
    for (wanted, _) in referenced(&image.manifest)? {
        if !blobs.iter().any(|blob| blob.descriptor().digest == wanted) {
            return Err(Error::Invalid(format!("{wanted}, which {} refers to, is missing", digest(&image.manifest))));
        }
    }
    Ok(())
}
