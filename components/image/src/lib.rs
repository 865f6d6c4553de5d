//! steprun-image
