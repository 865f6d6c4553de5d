//! The whole tree as a tar.
