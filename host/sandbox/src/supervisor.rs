//! The supervisor: a process of its own for each run.
