//! steprun-promote
