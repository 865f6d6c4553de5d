//! The rung `userns`.

use std::io;

use super::{Prepared, Ran};

/// Runs a command.
pub(super) fn run(_prepared: Prepared) -> io::Result<Ran> {
    Err(io::ErrorKind::Unsupported.into())
}
