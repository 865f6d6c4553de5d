//! The seccomp user notification interface.
