//! steprun-snapshot
