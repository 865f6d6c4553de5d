//! steprun-build
