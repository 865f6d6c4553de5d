//! Statements put together to stages.

use super::Statement;
use crate::diagnostic::Diagnostic;
use crate::instruction::{Arg, Instruction, Kind, Stage};

/// Stages as they grow.
#[derive(Default)]
pub(super) struct Builder {
    pub(super) global_args: Vec<Arg>,
    pub(super) stages: Vec<Stage>,
}

impl Builder {
    /// Adds a statement to the last stage, or begins one.
    ///
    /// # Errors
    ///
    /// An instruction other than ARG before the first FROM.
    pub(super) fn push(&mut self, statement: Statement) -> Result<(), Diagnostic> {
        match (statement, self.stages.last_mut()) {
            (Statement::From { from, description }, _) => {
                let name = from.alias.as_ref().map(|alias| alias.raw.to_lowercase());
                let span = from.span;
                self.stages.push(Stage { from, name, description, instructions: Vec::new(), span });
            }
            (Statement::Instruction(instruction), Some(stage)) => {
                stage.span = stage.span.to(instruction.span);
                stage.instructions.push(instruction);
            }
            (Statement::Instruction(Instruction { kind: Kind::Arg(args), .. }), None) => self.global_args.extend(args),
            (Statement::Instruction(instruction), None) => {
                let error = Diagnostic::new(instruction.span, "no build stage in current context");
                return Err(error.with_hint("only ARG may stand before the first FROM"));
            }
        }
        Ok(())
    }
}
