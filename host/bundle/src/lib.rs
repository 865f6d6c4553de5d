//! steprun-bundle
