//! steprun-tests
