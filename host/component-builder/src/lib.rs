//! steprun-component-builder
