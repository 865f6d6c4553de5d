//! The Dockerfile language as BuildKit speaks it: text to typed instructions, expansion of variables, `.dockerignore`, patterns
//! and file modes. Pure logic: nothing is read, nothing is run.

mod diagnostic;
mod directive;
mod duration;
pub mod expand;
mod flags;
pub mod glob;
mod heredoc;
pub mod ignore;
pub mod instruction;
mod lexical;
mod line;
pub mod lint;
pub mod mode;
pub mod mount;
mod parse;
mod pattern;
mod span;
pub mod suggest;

pub use diagnostic::Diagnostic;
pub use instruction::Dockerfile;
pub use parse::{parse, parse_instruction};
pub use span::{Source, Span, Word};
