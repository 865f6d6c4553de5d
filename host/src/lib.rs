//! steprun
