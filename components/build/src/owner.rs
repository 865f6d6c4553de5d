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
/// has its primary group; a user that is left out is root, with the group that is given (BuildKit, `solver/llbsolver/ops/user_linux.go`).
///
/// # Errors
/// An unknown name. BuildKit's code takes root instead, its reference says that the build fails; a file that root owns without
/// anybody's wish is the worse of the two.
pub(crate) async fn resolve(tree: &impl Tree, spec: &str) -> Result<Owner, Failure> {
    look_up(tree, spec).await?
}

/// The owner of what is made for a USER without anybody's asking for an owner, such as a working directory. As in BuildKit a name
/// that is not there counts as root.
///
/// # Errors
/// Account files that can't be read.
pub(crate) async fn of_user(tree: &impl Tree, spec: &str) -> Result<Owner, Failure> {
    Ok(look_up(tree, spec).await?.unwrap_or_default())
}

/// Fails where account files can't be read; inside, where they lack the name.
async fn look_up(tree: &impl Tree, spec: &str) -> Result<Result<Owner, Failure>, Failure> {
    let (user, group) = spec.split_once(':').unwrap_or((spec, ""));
    let found = match user.parse() {
        _ if user.is_empty() => Some(Owner::default()),
        Ok(id) => Some(Owner { uid: id, gid: id }),
        Err(_) => user_named(tree, user).await?,
    };
    let Some(mut owner) = found else { return Ok(Err(unknown("user", user, "/etc/passwd"))) };
    if !group.is_empty() {
        let found = match group.parse() {
            Ok(id) => Some(id),
            Err(_) => group_named(tree, group).await?,
        };
        let Some(gid) = found else { return Ok(Err(unknown("group", group, "/etc/group"))) };
        owner.gid = gid;
    }
    Ok(Ok(owner))
}

async fn user_named(tree: &impl Tree, name: &str) -> Result<Option<Owner>, Failure> {
    let table = read(tree, "etc/passwd").await?;
    let found = rows(&table).find(|row| row.first() == Some(&name));
    Ok(found.and_then(|row| Some(Owner { uid: row.get(2)?.parse().ok()?, gid: row.get(3)?.parse().ok()? })))
}

async fn group_named(tree: &impl Tree, name: &str) -> Result<Option<u32>, Failure> {
    let table = read(tree, "etc/group").await?;
    let found = rows(&table).find(|row| row.first() == Some(&name));
    Ok(found.and_then(|row| row.get(2)?.parse().ok()))
}

/// A name that account files lack.
pub(crate) fn unknown(kind: &str, name: &str, file: &str) -> Failure {
    Failure::failed(format!("there is no {kind} `{name}` in {file} of this stage"))
        .hint("name one that the base image has, or use a number")
}

/// The rows of an account file, cut into fields.
pub(crate) fn rows(table: &str) -> impl Iterator<Item = Vec<&str>> {
    table.lines().map(|line| line.trim().split(':').collect())
}

/// An account file; one that is not there has no rows.
pub(crate) async fn read(tree: &impl Tree, path: &str) -> Result<String, Failure> {
    match tree.read(path, LIMIT).await {
        Ok(bytes) => Ok(String::from_utf8_lossy(&bytes).into_owned()),
        Err(Error::NotFound(_)) => Ok(String::new()),
        Err(error) => Err(Failure::because(format!("could not read /{path} of this stage"), error)),
    }
}
