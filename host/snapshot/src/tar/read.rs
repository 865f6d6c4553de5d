//! One streaming pass over an archive. Nothing is unpacked; content is skipped and its place noted.

use std::io::{self, Read};

use ::tar::{EntryType, GnuExtSparseHeader, Header};

use super::input::Input;
use super::{BLOCK, Body, Item, pax, sparse};
use crate::meta::{Attributes, Timestamp};
use crate::{Error, Result, name};

/// Bytes of the PAX headers and long names of one entry, and of one map of a sparse file.
const MAX_EXTENSION: u64 = 4 << 20;
/// Entries of one archive.
const MAX_ENTRIES: u64 = 5_000_000;
/// Bytes that the entries of one archive take in memory: names, targets, extended attributes, maps of sparse files.
const MAX_METADATA: u64 = 512 << 20;
/// A byte of a global PAX header counts as so many: 1 MiB of them is the most.
const GLOBAL_COST: u64 = 512;
/// Bytes of one path: as in Linux.
const MAX_PATH: usize = 4096;

/// An archive being read.
pub(crate) struct TarReader<R> {
    input: R,
    position: u64,
    entries: u64,
    metadata: u64,
    global: Extensions,
}

/// What extension headers say of the next entry (or of all that follow).
#[derive(Debug, Clone, Default)]
struct Extensions {
    path: Option<Vec<u8>>,
    link: Option<Vec<u8>>,
    size: Option<u64>,
    uid: Option<u64>,
    gid: Option<u64>,
    modified: Option<Timestamp>,
    xattrs: Vec<(Vec<u8>, Vec<u8>)>,
    sparse_size: Option<u64>,
    sparse_list: Option<Vec<u8>>,
    sparse_pairs: Vec<u64>,
    /// Format 1.0: the map stands before the content.
    sparse_before_content: bool,
}

impl<R: Input> TarReader<R> {
    pub(crate) fn new(input: R) -> Self {
        Self { input, position: 0, entries: 0, metadata: 0, global: Extensions::default() }
    }

    /// The next entry; none at the end of the archive. Fails with [`Error::Invalid`] on what is no archive or exceeds a limit.
    pub(crate) fn next(&mut self) -> Result<Option<Item>> {
        let mut extensions = self.global.clone();
        let mut room = MAX_EXTENSION;
        while let Some(header) = self.header()? {
            self.entries += 1;
            if self.entries > MAX_ENTRIES {
                return Err(Error::Invalid(format!("the archive has more than {MAX_ENTRIES} entries")));
            }
            match header.entry_type() {
                EntryType::XHeader => extensions.add(&self.extension(&header, &mut room)?)?,
                EntryType::XGlobalHeader => {
                    let data = self.extension(&header, &mut room)?;
                    // They are copied for each entry, so all of them must be small.
                    self.hold(data.len() as u64 * GLOBAL_COST)?;
                    self.global.add(&data)?;
                    extensions.add(&data)?;
                }
                EntryType::GNULongName => extensions.path = Some(until_nul(self.extension(&header, &mut room)?)),
                EntryType::GNULongLink => extensions.link = Some(until_nul(self.extension(&header, &mut room)?)),
                // A volume's label, and what else is no file.
                kind if matches!(kind.as_byte(), b'V' | b'M' | b'N') => {
                    let size = field(header.entry_size(), "size")?;
                    self.skip_padded(size)?;
                }
                _ => {
                    let item = self.item(&header, extensions)?;
                    self.hold(item_memory(&item))?;
                    return Ok(Some(item));
                }
            }
        }
        Ok(None)
    }

    /// All entries that are left. Fails as [`TarReader::next`] does.
    pub(crate) fn items(&mut self) -> Result<Vec<Item>> {
        let mut items = Vec::new();
        while let Some(item) = self.next()? {
            items.push(item);
        }
        Ok(items)
    }

    /// Counts what is held in memory until the end. Fails with [`Error::Invalid`] if that is too much.
    fn hold(&mut self, bytes: u64) -> Result<()> {
        self.metadata = self.metadata.saturating_add(bytes);
        if self.metadata > MAX_METADATA {
            return Err(Error::Invalid("the archive's entries take more than 512 MiB of memory".into()));
        }
        Ok(())
    }

    /// Reads on to the end of the input, so that all of it is hashed.
    pub(crate) fn drain(&mut self) -> Result<u64> {
        self.position += io::copy(&mut self.input, &mut io::sink()).map_err(broken)?;
        Ok(self.position)
    }

    /// What was read from.
    pub(crate) fn into_input(self) -> R {
        self.input
    }

    fn header(&mut self) -> Result<Option<Header>> {
        let mut header = Header::new_old();
        let bytes = header.as_mut_bytes();
        let mut filled = 0;
        while filled < bytes.len() {
            match self.input.read(&mut bytes[filled..]) {
                Ok(0) if filled == 0 => return Ok(None),
                Ok(0) => return Err(Error::Invalid("the archive ends within a header".into())),
                Ok(count) => filled += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(broken(error)),
            }
        }
        self.position += BLOCK;
        if bytes.iter().all(|byte| *byte == 0) {
            return Ok(None);
        }
        if !is_header(bytes) {
            return Err(Error::Invalid(format!(
                "there is no tar header at byte {} of the archive",
                self.position - BLOCK
            )));
        }
        Ok(Some(header))
    }

    fn item(&mut self, header: &Header, extensions: Extensions) -> Result<Item> {
        let given = extensions.path.clone().unwrap_or_else(|| header.path_bytes().into_owned());
        let path = clean(&given)?;
        let attributes = extensions.attributes(header)?;
        let link = || {
            extensions
                .link
                .clone()
                .or_else(|| header.link_name_bytes().map(|link| link.into_owned()))
                .unwrap_or_default()
        };
        let size = match extensions.size {
            Some(size) => size,
            None => field(header.entry_size(), "size")?,
        };
        let body = match header.entry_type() {
            EntryType::Directory => Body::Directory,
            EntryType::Symlink => Body::Symlink(symlink_target(link())?),
            EntryType::Link => Body::HardLink(clean(&link())?),
            EntryType::Fifo => Body::Fifo,
            kind @ (EntryType::Char | EntryType::Block) => device(header, kind == EntryType::Block)?,
            EntryType::GNUSparse => return self.old_sparse(header, path, attributes, size),
            // Before POSIX, a directory was a file whose name ends with a slash.
            EntryType::Regular if given.ends_with(b"/") && header.as_old().linkflag == [0] && size == 0 => {
                Body::Directory
            }
            _ if extensions.is_sparse() => return self.pax_sparse(&extensions, path, attributes, size),
            // As in POSIX, an unknown type is a regular file.
            _ => {
                let offset = self.position;
                self.skip_padded(size)?;
                Body::Regular { size, offset, map: None }
            }
        };
        // Whatever size the others announce, no content follows: so say Go's reader, and with it docker and containerd. Two
        // readers that disagree here would see two different archives.
        Ok(Item { path, attributes, body })
    }

    fn old_sparse(&mut self, header: &Header, path: Vec<u8>, attributes: Attributes, stored: u64) -> Result<Item> {
        let gnu = header
            .as_gnu()
            .ok_or_else(|| Error::Invalid("the archive has a sparse file without a GNU header".into()))?;
        let size = field(gnu.real_size(), "real size")?;
        let mut map = Vec::new();
        sparse::from_header(&gnu.sparse, &mut map)?;
        let mut more = gnu.is_extended();
        while more {
            let mut extended = GnuExtSparseHeader::new();
            self.input.read_exact(extended.as_mut_bytes()).map_err(broken)?;
            self.position += BLOCK;
            sparse::from_header(extended.sparse(), &mut map)?;
            more = extended.is_extended();
            if map.len() > sparse::MAX_SEGMENTS {
                return Err(Error::Invalid("the archive has a sparse file of too many parts".into()));
            }
        }
        let body = Body::Regular { size, offset: self.position, map: Some(sparse::check(map, size, stored)?) };
        self.skip_padded(stored)?;
        Ok(Item { path, attributes, body })
    }

    fn pax_sparse(
        &mut self,
        extensions: &Extensions,
        path: Vec<u8>,
        attributes: Attributes,
        stored: u64,
    ) -> Result<Item> {
        let malformed = || Error::Invalid("the archive has a malformed map of a sparse file".into());
        let size = extensions.sparse_size.ok_or_else(malformed)?;
        let (map, map_bytes) = if extensions.sparse_before_content {
            self.map_before_content(stored)?
        } else {
            let pairs = extensions.sparse_pairs.iter().map(u64::to_string).collect::<Vec<_>>().join(",").into_bytes();
            let list = extensions.sparse_list.as_ref().unwrap_or(&pairs);
            let map = if list.is_empty() { Vec::new() } else { sparse::from_list(list).ok_or_else(malformed)? };
            (map, 0)
        };
        let content = stored - map_bytes;
        let body = Body::Regular { size, offset: self.position, map: Some(sparse::check(map, size, content)?) };
        self.skip_padded(content)?;
        Ok(Item { path, attributes, body })
    }

    fn map_before_content(&mut self, stored: u64) -> Result<(Vec<sparse::Segment>, u64)> {
        let mut data = Vec::new();
        loop {
            if data.len() as u64 + BLOCK > stored.min(MAX_EXTENSION) {
                return Err(Error::Invalid("the archive has a malformed map of a sparse file".into()));
            }
            let start = data.len();
            data.resize(start + BLOCK as usize, 0);
            self.input.read_exact(&mut data[start..]).map_err(broken)?;
            self.position += BLOCK;
            if let Some(map) = sparse::from_lines(&data) {
                return Ok((map?, data.len() as u64));
            }
        }
    }

    /// The data of an extension header, which takes its size from the entry's `room`.
    fn extension(&mut self, header: &Header, room: &mut u64) -> Result<Vec<u8>> {
        let size = field(header.entry_size(), "size")?;
        *room = room.checked_sub(size).ok_or_else(|| {
            Error::Invalid(format!(
                "the archive has an extension header of {size} bytes: those of one entry may have {MAX_EXTENSION}"
            ))
        })?;
        let mut data = Vec::new();
        self.input.by_ref().take(size).read_to_end(&mut data).map_err(broken)?;
        if data.len() as u64 != size {
            return Err(Error::Invalid("the archive ends within an extension header".into()));
        }
        self.position += size;
        self.skip(padding(size))?;
        Ok(data)
    }

    fn skip_padded(&mut self, size: u64) -> Result<()> {
        self.skip(size)?;
        self.skip(padding(size))
    }

    fn skip(&mut self, count: u64) -> Result<()> {
        let end = self
            .position
            .checked_add(count)
            .ok_or_else(|| Error::Invalid("the archive has an entry of impossible size".into()))?;
        let skipped = self.input.skip(count).map_err(broken)?;
        if skipped != count {
            return Err(Error::Invalid("the archive ends within a file".into()));
        }
        self.position = end;
        Ok(())
    }
}

/// Bytes that an entry takes in a table of contents.
fn item_memory(item: &Item) -> u64 {
    let xattrs: usize = item.attributes.xattrs.iter().map(|(key, value)| key.len() + value.len()).sum();
    let body = match &item.body {
        Body::Regular { map: Some(map), .. } => size_of_val(map.as_slice()),
        Body::Symlink(target) | Body::HardLink(target) => target.len(),
        _ => 0,
    };
    (size_of::<Item>() + item.path.len() + xattrs + body) as u64
}

impl Extensions {
    fn add(&mut self, data: &[u8]) -> Result<()> {
        for (key, value) in pax::parse(data)? {
            let malformed =
                || Error::Invalid(format!("the archive has a malformed PAX record `{}`", String::from_utf8_lossy(key)));
            let number = || pax::number::<u64>(value).ok_or_else(malformed);
            match key {
                b"path" if self.is_sparse() && self.path.is_some() => {}
                b"path" | b"GNU.sparse.name" => self.path = Some(value.to_vec()),
                b"linkpath" => self.link = Some(value.to_vec()),
                b"size" => self.size = Some(number()?),
                b"uid" => self.uid = Some(number()?),
                b"gid" => self.gid = Some(number()?),
                b"mtime" => self.modified = Some(pax::timestamp(value).ok_or_else(malformed)?),
                b"GNU.sparse.major" => self.sparse_before_content = value == b"1",
                b"GNU.sparse.size" | b"GNU.sparse.realsize" => self.sparse_size = Some(number()?),
                b"GNU.sparse.map" => self.sparse_list = Some(value.to_vec()),
                b"GNU.sparse.offset" | b"GNU.sparse.numbytes" => self.sparse_pairs.push(number()?),
                _ => {
                    if let Some(attribute) = key.strip_prefix(pax::XATTR) {
                        self.xattrs.push((attribute.to_vec(), value.to_vec()));
                    }
                }
            }
        }
        Ok(())
    }

    fn is_sparse(&self) -> bool {
        self.sparse_before_content || self.sparse_size.is_some()
    }

    fn attributes(&self, header: &Header) -> Result<Attributes> {
        let raw = header.as_old();
        let seconds = number(&raw.mtime, header.mtime(), "mtime")?;
        let modified = Timestamp { seconds: seconds.cast_signed(), nanoseconds: 0 };
        Ok(Attributes {
            mode: number(&raw.mode, header.mode(), "mode")? & 0o7777,
            uid: owner(self.uid, number(&raw.uid, header.uid(), "owner"))?,
            gid: owner(self.gid, number(&raw.gid, header.gid(), "group"))?,
            modified: self.modified.unwrap_or(modified),
            xattrs: self.xattrs.iter().cloned().collect(),
        })
    }
}

/// Whether 512 bytes are a header: its checksum is right, by unsigned or (as old tars did) signed bytes.
pub(crate) fn is_header(bytes: &[u8; BLOCK as usize]) -> bool {
    let header = Header::from_byte_slice(bytes);
    let Ok(announced) = header.cksum() else { return false };
    // The checksum's own field counts as blanks.
    let (own, blanks) = (&bytes[148..156], 8 * u32::from(b' '));
    let unsigned = |bytes: &[u8]| bytes.iter().map(|byte| u32::from(*byte)).sum::<u32>();
    let signed = |bytes: &[u8]| bytes.iter().map(|byte| i32::from(byte.cast_signed())).sum::<i32>();
    announced == unsigned(bytes) - unsigned(own) + blanks
        || i64::from(announced) == i64::from(signed(bytes) - signed(own)) + i64::from(blanks)
}

fn owner(extension: Option<u64>, header: Result<u64>) -> Result<u32> {
    let id = extension.map_or(header, Ok)?;
    u32::try_from(id).map_err(|_| Error::Invalid(format!("the archive has the owner {id}, and owners have 32 bits")))
}

/// A number of a header; a field that was left blank is zero.
fn number<T: Default>(raw: &[u8], parsed: io::Result<T>, what: &str) -> Result<T> {
    let blank = raw.iter().all(|byte| matches!(byte, 0 | b' '));
    if blank { Ok(T::default()) } else { field(parsed, what) }
}

fn device(header: &Header, block: bool) -> Result<Body> {
    let number = |number: io::Result<Option<u32>>| field(number, "device number").map(Option::unwrap_or_default);
    Ok(Body::Device { block, major: number(header.device_major())?, minor: number(header.device_minor())? })
}

/// A clean path: absolute names are taken from the root. Fails with [`Error::Invalid`] on `..`, NULs and excessive length.
fn clean(path: &[u8]) -> Result<Vec<u8>> {
    let refused = |why: &str| {
        Error::Invalid(format!("the archive has the name `{}`, {why}", name::encode(&path[..path.len().min(200)])))
    };
    if path.len() > MAX_PATH {
        return Err(refused("which is too long"));
    }
    if path.contains(&0) {
        return Err(refused("which has a NUL"));
    }
    name::literal_bytes(path).ok_or_else(|| refused("which leads out of it"))
}

fn symlink_target(target: Vec<u8>) -> Result<Vec<u8>> {
    if target.is_empty() || target.len() > MAX_PATH || target.contains(&0) {
        return Err(Error::Invalid("the archive has a symlink with an impossible target".into()));
    }
    Ok(target)
}

fn field<T>(value: io::Result<T>, what: &str) -> Result<T> {
    value.map_err(|error| Error::Invalid(format!("the archive has a header with a malformed {what}: {error}")))
}

/// A reader's error: ours if it is one of ours; else the compression is broken, or the archive ends early.
fn broken(error: io::Error) -> Error {
    match error.downcast::<Error>() {
        Ok(error) => error,
        Err(error) => Error::Invalid(format!("the archive can't be read: {error}")),
    }
}

fn until_nul(mut bytes: Vec<u8>) -> Vec<u8> {
    if let Some(end) = bytes.iter().position(|byte| *byte == 0) {
        bytes.truncate(end);
    }
    bytes
}

fn padding(size: u64) -> u64 {
    size.wrapping_neg() % BLOCK
}
