//! The system call filter of a command. What namespaces and capabilities decide isn't here.

use std::io;

use crate::rung::filter::{common, no_hypervisor};

/// Puts the filter in force. Needs CAP_SYS_ADMIN, so that no_new_privs can stay unset: `su` and `sudo` work.
pub(super) fn install() -> io::Result<()> {
    no_hypervisor(common()).install()
}
