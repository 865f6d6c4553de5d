//! The Dockerfile language as BuildKit speaks it: text to typed instructions, expansion of variables, `.dockerignore`, patterns
//! and file modes. Pure logic: nothing is read, nothing is run.
//!
//! [`parse()`] gives a [`Dockerfile`] or every error in it, each with its place. Words in it are as written; [`expand`] gives
//! them their values when the variables are known. The behaviour is that of BuildKit's code, not of its reference, where the
//! two differ; the modules say where this crate differs from both.
//!
//! ```
//! use steprun_dockerfile::instruction::Kind;
//! use steprun_dockerfile::{Source, expand, parse};
//!
//! let source = Source::new("Dockerfile", "FROM alpine:3.22\nCOPY app /opt/${NAME:-app}/\n");
//! let dockerfile = parse(&source).expect("it is well formed");
//! let Kind::Copy(copy) = &dockerfile.stages[0].instructions[0].kind else { unreachable!() };
//! let destination = expand::expand(&copy.destination.raw, dockerfile.directives.escape, &|_| None)?;
//! assert_eq!(destination.value, "/opt/app/");
//!
//! let errors = parse(&Source::new("Dockerfile", "FRM alpine")).expect_err("there is no FRM");
//! assert_eq!(errors[0].hint.as_deref(), Some("did you mean `FROM`?"));
//! # Ok::<(), expand::ExpandError>(())
//! ```

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
