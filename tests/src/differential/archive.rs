//! Archives that a context or a base is made of.

use std::io::Write;
use std::process::Stdio;

use tar::{Builder, EntryType, Header};

use super::section::{Kind, Section};
use crate::MTIME;
use crate::tools::tool;

/// A tar of these files, compressed as the name of the archive says.
pub(super) fn archive(name: &str, members: &[Section]) -> Vec<u8> {
    let mut tar = Builder::new(Vec::new());
    for member in members {
        append(&mut tar, member, described(member, members));
    }
    let tar = tar.into_inner().unwrap();
    match name.rsplit('.').next() {
        Some("gz" | "tgz") => piped("gzip", &tar),
        Some("bz2") => piped("bzip2", &tar),
        Some("xz") => piped("xz", &tar),
        Some("zst") => piped("zstd", &tar),
        _ => tar,
    }
}

/// The member whose metadata a member has: a hard link's header tells those of its file.
fn described<'a>(member: &'a Section, members: &'a [Section]) -> &'a Section {
    let Kind::HardLink(existing) = &member.kind else { return member };
    members.iter().find(|other| other.path == *existing).map_or(member, |other| described(other, members))
}

fn append(tar: &mut Builder<Vec<u8>>, member: &Section, described: &Section) {
    if let Some((name, value)) = &member.xattr {
        tar.append_pax_extensions([(format!("SCHILY.xattr.{name}").as_str(), value.as_bytes())]).unwrap();
    }
    let (kind, mode, target, content): (_, _, _, &[u8]) = match &member.kind {
        Kind::File(content) => (EntryType::Regular, 0o644, "", content),
        Kind::Directory => (EntryType::Directory, 0o755, "", b""),
        Kind::Symlink(target) => (EntryType::Symlink, 0o777, target.as_str(), b""),
        Kind::HardLink(existing) => (EntryType::Link, 0o644, existing.as_str(), b""),
        Kind::Fifo => (EntryType::Fifo, 0o644, "", b""),
    };
    let mut header = Header::new_ustar();
    header.set_entry_type(kind);
    // `set_path` would tidy `./x` up.
    header.as_old_mut().name[..member.path.len()].copy_from_slice(member.path.as_bytes());
    header.as_old_mut().linkname[..target.len()].copy_from_slice(target.as_bytes());
    header.set_mode(described.mode.unwrap_or(mode));
    let (user, group) = described.owner.unwrap_or_default();
    header.set_uid(user.into());
    header.set_gid(group.into());
    header.set_mtime(described.modified.unwrap_or(MTIME).unsigned_abs());
    header.set_size(content.len() as u64);
    header.set_cksum();
    tar.append(&header, content).unwrap();
}

/// What a program makes of standard input. The archives are smaller than a pipe, so that nobody waits for anybody.
fn piped(program: &str, input: &[u8]) -> Vec<u8> {
    let mut child = tool(program).arg("-c").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(input).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{program} failed");
    output.stdout
}
