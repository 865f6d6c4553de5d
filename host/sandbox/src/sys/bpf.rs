//! An assembler for seccomp filters.
