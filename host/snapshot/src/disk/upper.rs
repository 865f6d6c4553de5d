//! The upper directory of an overlay: what its marks mean (Documentation/filesystems/overlayfs.rst).

use super::walk::Stamp;
use crate::{Error, Result, Xattrs, name};
use rustix::fs::FileType;

/// What an entry of an upper directory says of what lies below it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mark {
    /// It is not there any more.
    Whiteout,
    /// Nothing of a directory's entries is there any more.
    Opaque,
    /// It was copied from there.
    CopiedUp,
    /// Nothing.
    None,
}

/// Reads the marks of an entry. `xattrs` are all that a regular file or directory has; nothing else has marks.
/// Fails with [`Error::Unsupported`] where the entry doesn't say all, because the overlay was mounted with options that it must not have.
pub(super) fn mark(path: &[u8], stamp: &Stamp, xattrs: &Xattrs) -> Result<Mark> {
    let own = |what: &str| {
        let of = |space: &str| xattrs.get(format!("{space}.overlay.{what}").as_bytes());
        of("user").or_else(|| of("trusted"))
    };
    for (attribute, option) in [("redirect", "redirect_dir=off"), ("metacopy", "metacopy=off")] {
        if own(attribute).is_some() {
            return Err(Error::Unsupported(format!(
                "the overlay has `{}` in an upper directory with `{attribute}`: it must be mounted with {option}",
                name::encode(path)
            )));
        }
    }
    Ok(match stamp.kind {
        FileType::CharacterDevice if stamp.device == (0, 0) => Mark::Whiteout,
        FileType::RegularFile if stamp.size == 0 && own("whiteout").is_some() => Mark::Whiteout,
        FileType::Directory if own("opaque").is_some_and(|value| value == b"y") => Mark::Opaque,
        _ if own("origin").is_some() => Mark::CopiedUp,
        _ => Mark::None,
    })
}
