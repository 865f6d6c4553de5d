//! Who a RUN runs as: USER, looked up in the stage's own account files (BuildKit `executor/oci/user.go`, moby/sys `user`,
//! `GetExecUser`).

use steprun_ports::{Failure, Tree, User};

use crate::owner;

/// Where accounts are looked up.
pub(super) const FILES: [&str; 2] = ["etc/passwd", "etc/group"];

/// A user with what depends on it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Account {
    pub(super) user: User,
    /// Its home directory; `/` where the account files don't tell.
    pub(super) home: String,
}

/// What USER means in a file system; empty is root.
///
/// # Errors
/// A name that isn't there; account files that can't be read.
pub(super) async fn account(tree: &impl Tree, spec: &str) -> Result<Account, Failure> {
    let [passwd, group] = FILES;
    let (passwd, group) = (owner::read(tree, passwd).await?, owner::read(tree, group).await?);
    let user = user(spec, &passwd, &group)?;
    let own = entries(&passwd).find(|entry| entry.uid == user.uid);
    let home = own.map_or("/", |entry| entry.home).to_owned();
    Ok(Account { user, home })
}

/// A row of /etc/passwd.
struct Entry<'a> {
    name: &'a str,
    uid: u32,
    gid: u32,
    home: &'a str,
}

fn entries(passwd: &str) -> impl Iterator<Item = Entry<'_>> {
    owner::rows(passwd).filter_map(|row| {
        let (uid, gid) = (row.get(2)?.parse().ok()?, row.get(3)?.parse().ok()?);
        let home = row.get(5).copied().filter(|home| !home.is_empty()).unwrap_or("/");
        Some(Entry { name: row.first()?, uid, gid, home })
    })
}

/// `user`, `user:group` or their numbers. A number alone has the group of its entry, else group 0; COPY's owners differ here. Only
/// without a group the supplementary groups count. The primary group is always among them.
fn user(spec: &str, passwd: &str, group: &str) -> Result<User, Failure> {
    let (name, wanted_group) = spec.split_once(':').unwrap_or((spec, ""));
    let number: Option<u32> = if name.is_empty() { Some(0) } else { name.parse().ok() };
    let mut found = entries(passwd).find(|entry| number.map_or(entry.name == name, |uid| entry.uid == uid));
    let uid = match (&found, number) {
        (Some(entry), _) => entry.uid,
        (None, Some(uid)) => uid,
        // Without account files root is still root.
        (None, None) if name == "root" => 0,
        (None, None) => return Err(owner::unknown("user", name, "/etc/passwd")),
    };
    if wanted_group.is_empty() {
        let gid = found.as_ref().map_or(0, |entry| entry.gid);
        let groups = found.take().map_or_else(Vec::new, |entry| memberships(group, entry.name));
        return Ok(with_primary(uid, gid, groups));
    }
    let listed = owner::rows(group).find(|row| row.first() == Some(&wanted_group));
    let gid = match (wanted_group.parse().ok(), listed) {
        (Some(gid), _) => gid,
        (None, Some(row)) => row.get(2).and_then(|gid| gid.parse().ok()).unwrap_or_default(),
        (None, None) if wanted_group == "root" => 0,
        (None, None) => return Err(owner::unknown("group", wanted_group, "/etc/group")),
    };
    Ok(with_primary(uid, gid, Vec::new()))
}

/// Groups that list a user, in the order of the file.
fn memberships(group: &str, name: &str) -> Vec<u32> {
    let member = |row: &Vec<&str>| row.get(3).is_some_and(|members| members.split(',').any(|member| member == name));
    owner::rows(group).filter(member).filter_map(|row| row.get(2)?.parse().ok()).collect()
}

fn with_primary(uid: u32, gid: u32, mut groups: Vec<u32>) -> User {
    if !groups.contains(&gid) {
        groups.insert(0, gid);
    }
    User { uid, gid, groups }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PASSWD: &str = "root:x:0:0:root:/root:/bin/sh\nada:x:1000:1000::/home/ada:\nbob:x:7:8\nbroken\n";
    const GROUP: &str = "root:x:0:\nbin:x:1:root,daemon\nada:x:1000:\nwheel:x:10:ada,root\nops:x:20:bob,ada\n";

    #[test]
    fn row_82_users_and_groups() {
        for (spec, uid, gid, groups) in [
            ("", 0, 0, &[0, 1, 10][..]),
            ("root", 0, 0, &[0, 1, 10]),
            ("0", 0, 0, &[0, 1, 10]),
            ("ada", 1000, 1000, &[1000, 10, 20]),
            ("1000", 1000, 1000, &[1000, 10, 20]),
            ("ada:", 1000, 1000, &[1000, 10, 20]),
            ("bob", 7, 8, &[8, 20]),
            ("ada:wheel", 1000, 10, &[10]),
            ("ada:33", 1000, 33, &[33]),
            ("1000:1000", 1000, 1000, &[1000]),
            (":wheel", 0, 10, &[10]),
            ("4711", 4711, 0, &[0]),
            ("4711:wheel", 4711, 10, &[10]),
        ] {
            let found = user(spec, PASSWD, GROUP).unwrap();
            assert_eq!(found, User { uid, gid, groups: groups.to_vec() }, "{spec}");
        }
        for (spec, message) in [
            ("eve", "there is no user `eve` in /etc/passwd of this stage"),
            ("ada:eves", "there is no group `eves` in /etc/group of this stage"),
        ] {
            assert_eq!(user(spec, PASSWD, GROUP).unwrap_err().message, message);
        }
        assert_eq!(user("root:root", "", "").unwrap(), User { uid: 0, gid: 0, groups: vec![0] });
    }
}
