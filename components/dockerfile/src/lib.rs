//! The Dockerfile language as BuildKit speaks it: text to typed instructions, expansion of variables, `.dockerignore`, patterns
//! and file modes. Pure logic: nothing is read, nothing is run.

mod diagnostic;
pub mod expand;
pub mod instruction;
pub mod mount;
mod pattern;
mod span;

pub use diagnostic::Diagnostic;
pub use instruction::Dockerfile;
pub use span::{Source, Span, Word};
