//! Owners by name, as an image's own /etc/passwd and /etc/group tell them.

use steprun_ports::{Error, Failure, Tree};

/// Larger account files are refused; those of images are a few kilobytes.
const LIMIT: u64 = 4 << 20;

/// User and group of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Owner {
    pub(crate) uid: u32,
    pub(crate) gid: u32,
}

/// What `user[:group]` stands for in a file system: names are looked up there. A number alone is user and group, a name alone
/// has its primary group (BuildKit, `solver/llbsolver/ops/user_linux.go`).
///
/// # Errors
/// An unknown name. BuildKit's code takes root instead, its reference says that the build fails; a file that root owns without
/// anybody's wish is the worse of the two.
pub(crate) async fn resolve(tree: &impl Tree, spec: &str) -> Result<Owner, Failure> {
    let (user, group) = match spec.split_once(':') {
        Some((user, group)) => (user, Some(group)),
        None => (spec, None),
    };
    if user.is_empty() || group.is_some_and(str::is_empty) {
        return Err(
            Failure::failed(format!("`{spec}` is no owner")).hint("write `user`, `user:group` or their numbers")
        );
    }
    let mut owner = match user.parse() {
        Ok(id) => Owner { uid: id, gid: id },
        Err(_) => user_named(tree, user).await?,
    };
    if let Some(group) = group {
        owner.gid = match group.parse() {
            Ok(id) => id,
            Err(_) => group_named(tree, group).await?,
        };
    }
    Ok(owner)
}

async fn user_named(tree: &impl Tree, name: &str) -> Result<Owner, Failure> {
    let table = read(tree, "etc/passwd").await?;
    let found = rows(&table).find(|row| row.first() == Some(&name));
    let ids = found.and_then(|row| Some(Owner { uid: row.get(2)?.parse().ok()?, gid: row.get(3)?.parse().ok()? }));
    ids.ok_or_else(|| unknown("user", name, "/etc/passwd"))
}

async fn group_named(tree: &impl Tree, name: &str) -> Result<u32, Failure> {
    let table = read(tree, "etc/group").await?;
    let found = rows(&table).find(|row| row.first() == Some(&name));
    let id = found.and_then(|row| row.get(2)?.parse().ok());
    id.ok_or_else(|| unknown("group", name, "/etc/group"))
}

fn unknown(kind: &str, name: &str, file: &str) -> Failure {
    Failure::failed(format!("there is no {kind} `{name}` in {file} of this stage"))
        .hint("name one that the base image has, or use a number")
}

fn rows(table: &str) -> impl Iterator<Item = Vec<&str>> {
    table.lines().map(|line| line.trim().split(':').collect())
}

/// A file that is not there has no rows.
async fn read(tree: &impl Tree, path: &str) -> Result<String, Failure> {
    match tree.read(path, LIMIT).await {
        Ok(bytes) => Ok(String::from_utf8_lossy(&bytes).into_owned()),
        Err(Error::NotFound(_)) => Ok(String::new()),
        Err(error) => Err(Failure::because(format!("could not read /{path} of this stage"), error)),
    }
}
