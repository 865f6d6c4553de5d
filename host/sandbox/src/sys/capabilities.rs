//! Capability sets of the calling thread.
