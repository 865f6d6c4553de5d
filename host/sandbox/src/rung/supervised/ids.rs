//! Users and groups that a process believes to have, changed by the rules of credentials(7), setuid(2), setreuid(2), setresuid(2) and setfsuid(2)
//! as for a root with CAP_SETUID and CAP_SETGID.

use rustix::io::Errno;

use crate::request::User;

/// "Leave it as it is", in calls that take several.
const UNCHANGED: u32 = u32::MAX;
/// NGROUPS_MAX of linux/limits.h.
pub(super) const MOST_GROUPS: usize = 65536;

/// Real, effective and saved id, and the one for files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Identity {
    pub(super) real: u32,
    pub(super) effective: u32,
    pub(super) saved: u32,
    pub(super) files: u32,
}

/// All ids of a process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Ids {
    pub(super) user: Identity,
    pub(super) group: Identity,
    pub(super) groups: Vec<u32>,
}

impl Identity {
    fn all(id: u32) -> Self {
        Self { real: id, effective: id, saved: id, files: id }
    }

    fn may_become(self, id: u32, privileged: bool) -> bool {
        id == UNCHANGED || privileged || [self.real, self.effective, self.saved].contains(&id)
    }

    /// setuid(2), setgid(2).
    pub(super) fn set(&mut self, id: u32, privileged: bool) -> Result<(), Errno> {
        if id == UNCHANGED {
            return Err(Errno::INVAL);
        }
        if privileged {
            *self = Self::all(id);
        } else if id == self.real || id == self.saved {
            (self.effective, self.files) = (id, id);
        } else {
            return Err(Errno::PERM);
        }
        Ok(())
    }

    /// setreuid(2), setregid(2).
    pub(super) fn set_two(&mut self, real: u32, effective: u32, privileged: bool) -> Result<(), Errno> {
        let real_allowed = real == UNCHANGED || privileged || real == self.real || real == self.effective;
        if !real_allowed || !self.may_become(effective, privileged) {
            return Err(Errno::PERM);
        }
        let before = *self;
        if real != UNCHANGED {
            self.real = real;
        }
        if effective != UNCHANGED {
            self.effective = effective;
        }
        if real != UNCHANGED || effective != UNCHANGED && effective != before.real {
            self.saved = self.effective;
        }
        self.files = self.effective;
        Ok(())
    }

    /// setresuid(2), setresgid(2).
    pub(super) fn set_three(&mut self, [real, effective, saved]: [u32; 3], privileged: bool) -> Result<(), Errno> {
        if ![real, effective, saved].iter().all(|id| self.may_become(*id, privileged)) {
            return Err(Errno::PERM);
        }
        for (slot, id) in [(&mut self.real, real), (&mut self.effective, effective), (&mut self.saved, saved)] {
            if id != UNCHANGED {
                *slot = id;
            }
        }
        self.files = self.effective;
        Ok(())
    }

    /// setfsuid(2), setfsgid(2): gives the one before, whether or not it changes.
    pub(super) fn set_files(&mut self, id: u32, privileged: bool) -> u32 {
        let before = self.files;
        if id != UNCHANGED && (id == before || self.may_become(id, privileged)) {
            self.files = id;
        }
        before
    }
}

impl Ids {
    /// What a process starts with.
    pub(super) fn of(user: &User) -> Self {
        Self { user: Identity::all(user.uid), group: Identity::all(user.gid), groups: user.groups.clone() }
    }

    /// execve(2) of a program with set-id bits: `None` where it has not that bit.
    pub(super) fn execute(&mut self, uid: Option<u32>, gid: Option<u32>) {
        for (identity, id) in [(&mut self.user, uid), (&mut self.group, gid)] {
            identity.effective = id.unwrap_or(identity.effective);
            (identity.saved, identity.files) = (identity.effective, identity.effective);
        }
    }

    /// Whether it has a root's capabilities.
    pub(super) fn privileged(&self) -> bool {
        self.user.effective == 0
    }

    /// Whether files are open to it whatever their mode (CAP_DAC_OVERRIDE, CAP_FOWNER).
    pub(super) fn overrides(&self) -> bool {
        self.user.files == 0
    }

    /// Whether a group's permissions are those of this process.
    pub(super) fn in_group(&self, group: u32) -> bool {
        self.group.files == group || self.groups.contains(&group)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn identity(real: u32, effective: u32, saved: u32) -> Identity {
        Identity { real, effective, saved, files: effective }
    }

    #[test]
    fn root_drops_for_good() {
        let mut user = Identity::all(0);
        user.set(100, true).expect("root may");
        assert_eq!(user, Identity::all(100));
        assert_eq!(user.set(0, false), Err(Errno::PERM));
        assert_eq!(user.set_three([UNCHANGED, 0, UNCHANGED], false), Err(Errno::PERM));
        assert_eq!(user.set_two(0, UNCHANGED, false), Err(Errno::PERM));
    }

    #[test]
    fn saved_ids_lead_back() {
        let mut user = Identity::all(0);
        user.set_three([UNCHANGED, 33, UNCHANGED], true).expect("root may");
        assert_eq!(user, identity(0, 33, 0));
        user.set(0, false).expect("saved");
        assert_eq!(user, identity(0, 0, 0));
        user.set_two(5, 6, true).expect("root may");
        assert_eq!(user, identity(5, 6, 6));
        user.set_two(UNCHANGED, 5, false).expect("real");
        assert_eq!(user, identity(5, 5, 6));
    }

    #[test]
    fn ids_for_files_follow() {
        let mut user = Identity::all(0);
        assert_eq!(user.set_files(9, true), 0);
        assert_eq!((user.files, user.effective), (9, 0));
        assert_eq!(user.set_files(4, false), 9, "refused, told by the next call only");
        assert_eq!(user.files, 9);
        user.set_three([7; 3], true).expect("root may");
        assert_eq!(user.files, 7);
        let ids = Ids { user, group: Identity::all(1), groups: vec![2] };
        assert!(ids.in_group(1) && ids.in_group(2) && !ids.in_group(3) && !ids.privileged());
    }
}
