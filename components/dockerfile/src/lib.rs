//! steprun-dockerfile
