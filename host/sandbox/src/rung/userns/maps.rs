//! The id map of a user namespace (user_namespaces(7)). Only a full one will do: with a single id each owner of a file would have to be faked,
//! which is what the rung `supervised` is for.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use rustix::process::{Pid, getegid, geteuid};

use crate::probe::Missing;

/// The ids that images use: 0 to 65534 (`nobody`) and what is above it in a range of the usual size.
const IDS: u32 = 1 << 16;

/// Where setuid programs are; the supervisor has no PATH. The last one is NixOS'.
const PROGRAMS: [&str; 4] = ["/usr/bin", "/bin", "/usr/local/bin", "/run/wrappers/bin"];

/// Users or groups.
#[derive(Clone, Copy)]
struct Kind {
    map: &'static str,
    program: &'static str,
    ranges: &'static str,
}

const USERS: Kind = Kind { map: "uid_map", program: "newuidmap", ranges: "/etc/subuid" };
const GROUPS: Kind = Kind { map: "gid_map", program: "newgidmap", ranges: "/etc/subgid" };

/// Writes both maps of a child that is in a new user namespace.
///
/// # Errors
/// A [`Missing`] inside.
pub(super) fn write(child: Pid) -> io::Result<()> {
    let uid = geteuid();
    for (kind, id) in [(USERS, uid.as_raw()), (GROUPS, getegid().as_raw())] {
        if uid.is_root() { write_as_root(child, kind) } else { write_by_program(child, kind, id, uid.as_raw()) }?;
    }
    Ok(())
}

/// Root gives its own ids, one to one.
fn write_as_root(child: Pid, kind: Kind) -> io::Result<()> {
    let own = fs::read_to_string(format!("/proc/self/{}", kind.map))?;
    if reach(&own) < IDS {
        return Err(Missing::few_ids(reach(&own), IDS).into());
    }
    fs::write(format!("/proc/{}/{}", child.as_raw_nonzero(), kind.map), format!("0 0 {IDS}"))
        .map_err(|error| Missing::map_by_root(kind.map, &error).into())
}

/// Others ask the setuid program, which looks the ranges up again.
fn write_by_program(child: Pid, kind: Kind, id: u32, uid: u32) -> io::Result<()> {
    let program = PROGRAMS.iter().map(|directory| Path::new(directory).join(kind.program)).find(|path| path.exists());
    let program: PathBuf = program.ok_or_else(|| Missing::program(kind.program))?;
    let name = fs::read_to_string("/etc/passwd").ok().and_then(|users| name(&users, uid));
    let who = name.clone().unwrap_or_else(|| uid.to_string());
    let ranges = fs::read_to_string(kind.ranges).unwrap_or_default();
    let map = map(id, &ranges_of(&ranges, name.as_deref(), uid)).ok_or_else(|| Missing::range(kind.ranges, &who))?;
    let output = Command::new(&program)
        .arg(child.as_raw_nonzero().to_string())
        .args(map.iter().flatten().map(u32::to_string))
        .env_clear()
        .stdin(Stdio::null())
        .output()?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    Err(Missing::program_failed(&program, said.trim()).into())
}

/// How many ids from 0 on a map holds without a hole. Lines are: first id inside, first id outside, count.
fn reach(map: &str) -> u32 {
    let mut lines: Vec<(u32, u32)> = map
        .lines()
        .filter_map(|line| {
            let mut numbers = line.split_whitespace().map(str::parse);
            Some((numbers.next()?.ok()?, numbers.nth(1)?.ok()?))
        })
        .collect();
    lines.sort_unstable();
    lines
        .into_iter()
        .fold(0, |end, (first, count)| if first <= end { end.max(first.saturating_add(count)) } else { end })
}

/// The name of a user in the form of /etc/passwd.
fn name(users: &str, uid: u32) -> Option<String> {
    users.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        (fields.nth(1)?.parse() == Ok(uid)).then(|| name.to_owned())
    })
}

/// The ranges of a user in the form of subuid(5): name or number, first id, count.
fn ranges_of(text: &str, name: Option<&str>, uid: u32) -> Vec<(u32, u32)> {
    text.lines()
        .filter_map(|line| {
            let mut fields = line.split(':');
            let who = fields.next()?;
            let range = (fields.next()?.parse().ok()?, fields.next()?.trim().parse().ok()?);
            (Some(who) == name || who.parse() == Ok(uid)).then_some(range)
        })
        .collect()
}

/// The lines of a map: root is the user, and the ranges follow without a gap up to [`IDS`]. None if they are too small for that.
fn map(id: u32, ranges: &[(u32, u32)]) -> Option<Vec<[u32; 3]>> {
    let mut lines = vec![[0, id, 1]];
    let mut next = 1;
    for (first, count) in ranges {
        let count = (*count).min(IDS - next);
        if count > 0 {
            lines.push([next, *first, count]);
        }
        next += count;
    }
    // A range of the usual size has 65536 ids and one is the user's own; one of 65535 reaches as far.
    (next == IDS).then_some(lines)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn own_maps_are_measured() {
        for (map, expected) in [
            ("         0          0 4294967295\n", u32::MAX),
            ("0 1000 1\n1 100000 65536\n", 65537),
            ("1 100000 65536\n0 1000 1\n", 65537),
            ("0 1000 1\n", 1),
            ("0 1000 1\n2 100000 65536\n", 1),
            ("1 1 5\n", 0),
            ("", 0),
        ] {
            assert_eq!(reach(map), expected, "{map:?}");
        }
    }

    #[test]
    fn ranges_are_found_by_name_and_number() {
        let users = "root:x:0:0:root:/root:/bin/sh\napp:x:1000:100::/:/bin/sh\n";
        assert_eq!(name(users, 1000).as_deref(), Some("app"));
        assert_eq!(name(users, 1), None);
        let text = "# comment\nother:1:2\napp:100000:65536\n1000:300000:10\nbroken:x\n1000:1\n";
        assert_eq!(ranges_of(text, Some("app"), 1000), [(100_000, 65536), (300_000, 10)]);
        assert_eq!(ranges_of(text, None, 1000), [(300_000, 10)]);
        assert_eq!(ranges_of(text, None, 1), []);
    }

    #[test]
    fn maps_are_full_or_none() {
        assert_eq!(map(1000, &[(100_000, 65536)]), Some(vec![[0, 1000, 1], [1, 100_000, 65535]]));
        assert_eq!(
            map(7, &[(100, 30000), (40000, 40000)]),
            Some(vec![[0, 7, 1], [1, 100, 30000], [30001, 40000, 35535]])
        );
        assert_eq!(map(7, &[(100, 65535), (1, 9)]), Some(vec![[0, 7, 1], [1, 100, 65535]]));
        assert_eq!(map(7, &[(100, 65534)]), None);
        assert_eq!(map(7, &[]), None);
    }
}
