//! The files of an image in a directory of the caller.

use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use crate::disk::{self, Limits, Owners, Owning};
use crate::{Error, Result, Snapshot, name};

/// Writes all files of a snapshot into a directory, which is made where there is none. What is there stays, but for files of the same names.
///
/// The files are the caller's: they have the image's modes, but for set-user-ID, set-group-ID and sticky bits, and the caller can read and write
/// them all. Gives the paths of device nodes, which are left out. All is written before anything of it appears under its name.
///
/// # Errors
/// [`Error::Invalid`] if a file would take the place of a directory that is there; those of [`disk::write`].
pub fn write_files(path: &Path, files: &Snapshot) -> Result<Vec<String>> {
    let is_new = !path.exists();
    fs::create_dir_all(path).map_err(Error::io("create the directory", path))?;
    let write = || {
        let building = tempfile::Builder::new().prefix(".steprun-").tempdir_in(path);
        let building = building.map_err(Error::io("create a directory in", path))?;
        let mut owners = Owners::default();
        disk::write(&Snapshot::scratch(), files, building.path(), Owning::Table(&mut owners), Limits::default())?;
        let mut merge = Merge { owners: &owners, left_out: Vec::new() };
        merge.directory(building.path(), path, b"")?;
        merge.left_out.sort();
        Ok(merge.left_out)
    };
    let written = write();
    if written.is_err() && is_new {
        // It goes unless something is in it.
        let _ = fs::remove_dir(path);
    }
    written
}

/// Moves a tree into another.
struct Merge<'a> {
    owners: &'a Owners,
    left_out: Vec<String>,
}

impl Merge<'_> {
    /// `below` is where both are, seen from the root.
    fn directory(&mut self, from: &Path, to: &Path, below: &[u8]) -> Result<()> {
        for entry in fs::read_dir(from).map_err(Error::io("read the directory", from))? {
            let entry = entry.map_err(Error::io("read the directory", from))?;
            let (source, target) = (entry.path(), to.join(entry.file_name()));
            let path = [below, b"/", entry.file_name().as_bytes()].concat();
            let metadata = entry.metadata().map_err(Error::io("look at", &source))?;
            let key = (metadata.dev(), metadata.ino());
            if self.owners.get(&key).is_some_and(|owner| owner.device.is_some()) {
                self.left_out.push(name::encode(&path));
                continue;
            }
            match fs::symlink_metadata(&target) {
                Ok(there) if there.is_dir() && metadata.is_dir() => self.directory(&source, &target, &path)?,
                Ok(there) if there.is_dir() => {
                    let (file, place) = (name::encode(&path), target.display());
                    return Err(Error::Invalid(format!(
                        "the file `{file}` can't be written: `{place}` is a directory"
                    )));
                }
                Ok(_) if metadata.is_dir() => {
                    fs::remove_file(&target).map_err(Error::io("remove", &target))?;
                    self.new_directory(&source, &target, &path)?;
                }
                Ok(_) => rename(&source, &target)?,
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    return Err(Error::io("look at", &target)(error));
                }
                Err(_) if metadata.is_dir() => self.new_directory(&source, &target, &path)?,
                Err(_) => rename(&source, &target)?,
            }
        }
        Ok(())
    }

    /// A directory that isn't there yet; it keeps its mode and time.
    fn new_directory(&mut self, from: &Path, to: &Path, below: &[u8]) -> Result<()> {
        let metadata = fs::metadata(from).map_err(Error::io("look at", from))?;
        fs::create_dir(to).map_err(Error::io("create the directory", to))?;
        self.directory(from, to, below)?;
        let dressed = fs::set_permissions(to, metadata.permissions()).and_then(|()| {
            let times = fs::FileTimes::new().set_modified(metadata.modified()?);
            fs::File::open(to)?.set_times(times)
        });
        dressed.map_err(Error::io("change the mode and time of", to))
    }
}

fn rename(from: &Path, to: &Path) -> Result<()> {
    fs::rename(from, to).map_err(Error::io("rename a finished file to", to))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;
    use crate::{Change, ChangeEntry, Timestamp};

    fn snapshot(entries: Vec<(&str, u32, Change)>) -> Snapshot {
        let entry = |(path, mode, change): (&str, u32, Change)| ChangeEntry {
            path: path.into(),
            change,
            mode,
            uid: 0,
            gid: 7,
            modified: Timestamp { seconds: 1_000_000, nanoseconds: 0 },
        };
        Snapshot::scratch().extend(&[], entries.into_iter().map(entry).collect()).unwrap()
    }

    fn inline(text: &str) -> Change {
        Change::Inline(text.into())
    }

    #[test]
    fn files_are_added_to_what_is_there() {
        let work = tempfile::tempdir().unwrap();
        let out = work.path().join("deep/out");
        let files = snapshot(vec![
            ("bin", 0o755, Change::Directory),
            ("bin/tool", 0o4755, inline("tool")),
            ("bin/closed", 0o000, inline("closed")),
            ("null", 0o666, Change::Device { block: false, major: 1, minor: 3 }),
            ("link", 0o777, Change::Symlink("/etc/passwd".into())),
        ]);
        assert_eq!(write_files(&out, &files).unwrap(), ["/null"]);
        let mode = |name: &str| fs::symlink_metadata(out.join(name)).unwrap().permissions().mode() & 0o7777;
        assert_eq!([mode("bin"), mode("bin/tool"), mode("bin/closed")], [0o755, 0o755, 0o600]);
        assert_eq!(fs::metadata(out.join("bin")).unwrap().mtime(), 1_000_000);
        assert_eq!(fs::read_link(out.join("link")).unwrap(), Path::new("/etc/passwd"));
        // Again, over what the caller has put there: a link of that name is replaced, not followed.
        let outside = work.path().join("outside");
        fs::write(&outside, "outside").unwrap();
        fs::write(out.join("bin/own"), "own").unwrap();
        fs::remove_file(out.join("bin/tool")).unwrap();
        symlink(&outside, out.join("bin/tool")).unwrap();
        write_files(&out, &files).unwrap();
        let content = |path: &Path| fs::read_to_string(path).unwrap();
        assert_eq!(content(&out.join("bin/tool")), "tool");
        assert_eq!([content(&outside), content(&out.join("bin/own"))], ["outside", "own"]);
        assert_eq!(fs::read_dir(&out).unwrap().count(), 2, "nothing of the work is left");
    }

    #[test]
    fn a_file_takes_no_directorys_place() {
        let work = tempfile::tempdir().unwrap();
        let out = work.path().join("out");
        fs::create_dir_all(out.join("a/b")).unwrap();
        let failure = write_files(&out, &snapshot(vec![("a", 0o644, inline("a"))])).unwrap_err();
        assert!(matches!(&failure, Error::Invalid(reason) if reason.contains("`/a`")), "{failure}");
        assert_eq!(fs::read_dir(&out).unwrap().count(), 1);
    }
}
