//! steprun-server
