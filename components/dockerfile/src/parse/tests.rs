mod errors;
mod forms;
mod lines;
mod properties;
mod real;

use super::*;
use crate::instruction::{Arg, CommandForm, Copy, Run, Stage};

/// Parses a Dockerfile that must be right.
#[track_caller]
fn file(text: &str) -> Dockerfile {
    let source = Source::new("Dockerfile", text);
    parse(&source).unwrap_or_else(|errors| {
        let shown: Vec<String> = errors.iter().map(|error| error.render(&source)).collect();
        panic!("{text}\n{}", shown.join("\n"))
    })
}

/// The messages of a Dockerfile that must be wrong.
#[track_caller]
fn wrong(text: &str) -> Vec<Diagnostic> {
    match parse(&Source::new("Dockerfile", text)) {
        Ok(parsed) => panic!("{text} is taken for {parsed:#?}"),
        Err(errors) => errors,
    }
}

/// An instruction after `FROM scratch`.
#[track_caller]
fn instruction(text: &str) -> Instruction {
    let mut parsed = file(&format!("FROM scratch\n{text}"));
    assert_eq!(parsed.stages[0].instructions.len(), 1, "{text}");
    parsed.stages[0].instructions.remove(0)
}

#[track_caller]
fn kind(text: &str) -> Kind {
    instruction(text).kind
}

#[track_caller]
fn run(text: &str) -> Run {
    match kind(text) {
        Kind::Run(run) => run,
        other => panic!("{other:?}"),
    }
}

#[track_caller]
fn copy(text: &str) -> Copy {
    match kind(text) {
        Kind::Copy(copy) | Kind::Add(copy) => copy,
        other => panic!("{other:?}"),
    }
}

/// The only message about an instruction after `FROM scratch`, and the text under it.
#[track_caller]
fn refused(text: &str) -> (String, String) {
    let source = Source::new("Dockerfile", format!("FROM scratch\n{text}"));
    let errors = wrong(&source.text);
    assert_eq!(errors.len(), 1, "{errors:?}");
    (errors[0].to_string(), source.slice(errors[0].span).to_owned())
}

fn shell(text: &str) -> CommandForm {
    CommandForm::Shell(text.to_owned())
}

fn exec(words: &[&str]) -> CommandForm {
    CommandForm::Exec(words.iter().map(|word| (*word).to_owned()).collect())
}

fn raws<'w>(words: impl IntoIterator<Item = &'w crate::Word>) -> Vec<&'w str> {
    words.into_iter().map(|word| word.raw.as_str()).collect()
}
