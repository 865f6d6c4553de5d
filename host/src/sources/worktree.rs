//! The files of a checkout, without what depends on who checked it out, where and when.

use std::path::Path;

use steprun_snapshot::{Change, ChangeEntry, Directory, Kind, Result, Snapshot, Source, Stat, Timestamp};

/// A directory of the checkout in `work` as a file system. Git keeps of a mode only whether a file can be executed; all get the time of the commit.
///
/// # Errors
/// If there is no such directory, or a link leads to it from outside.
pub(super) fn read(work: &Path, shown: &str, directory: &str, keep_git_dir: bool, time: Timestamp) -> Result<Snapshot> {
    let files = Directory::open(work, shown)?;
    let root = files.real_path(directory)?;
    let mut entries = Vec::new();
    let mut pending = vec![String::new()];
    while let Some(parent) = pending.pop() {
        for entry in files.list(&join(&root, &parent))? {
            // Git refuses to track a file of that name: it is its own. Those of submodules point into that of the root.
            if entry.name == ".git" && !(keep_git_dir && root.is_empty()) {
                continue;
            }
            let path = join(&parent, &entry.name);
            if entry.stat.kind == Kind::Directory {
                pending.push(path.clone());
            }
            entries.extend(change(&entry.stat, &root, path, time));
        }
    }
    Snapshot::scratch().extend(&[Source::Directory(files)], entries)
}

/// What stands at a path; nothing for what is neither file, directory nor link.
fn change(stat: &Stat, root: &str, path: String, modified: Timestamp) -> Option<ChangeEntry> {
    let change = match stat.kind {
        Kind::Regular => Change::File { source: 0, path: join(root, &path) },
        Kind::Directory => Change::Directory,
        Kind::Symlink => Change::Symlink(stat.target.clone().unwrap_or_default()),
        _ => return None,
    };
    let executable = stat.kind == Kind::Directory || stat.mode & 0o100 != 0;
    Some(ChangeEntry { path, change, mode: if executable { 0o755 } else { 0o644 }, uid: 0, gid: 0, modified })
}

fn join(directory: &str, path: &str) -> String {
    if directory.is_empty() || path.is_empty() { format!("{directory}{path}") } else { format!("{directory}/{path}") }
}

#[cfg(test)]
mod tests {
    use std::fs::{self, Permissions};
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    #[test]
    fn only_what_the_commit_says_is_left() {
        let work = tempfile::tempdir().unwrap();
        let at = |path: &str| work.path().join(path);
        fs::create_dir_all(at(".git/objects")).unwrap();
        fs::create_dir_all(at("sub/dir")).unwrap();
        for (path, mode) in [("run", 0o700), ("sub/plain", 0o666), ("sub/.git", 0o644), ("sub/dir/x", 0o640)] {
            fs::write(at(path), path).unwrap();
            fs::set_permissions(at(path), Permissions::from_mode(mode)).unwrap();
        }
        symlink("../run", at("sub/link")).unwrap();
        symlink("/etc", at("out")).unwrap();
        let time = Timestamp { seconds: 5, nanoseconds: 0 };
        let list = |directory: &str, keep| -> Vec<String> {
            let files = read(work.path(), "w", directory, keep, time).unwrap();
            let entries = files.list("").unwrap().into_iter();
            entries
                .map(|entry| {
                    assert_eq!((entry.stat.uid, entry.stat.gid, entry.stat.modified), (0, 0, time));
                    format!("{} {:o}", entry.name, entry.stat.mode)
                })
                .collect()
        };
        assert_eq!(list("", false), ["out 777", "run 755", "sub 755"]);
        assert_eq!(list("", true), [".git 755", "out 777", "run 755", "sub 755"]);
        assert_eq!(list("sub", true), ["dir 755", "link 777", "plain 644"]);
        assert_eq!(read(work.path(), "w", "sub", false, time).unwrap().read("dir/x", 99).unwrap(), b"sub/dir/x");
        assert!(read(work.path(), "w", "out", false, time).is_err());
        assert!(read(work.path(), "w", "missing", false, time).is_err());
    }
}
