//! steprun-client
