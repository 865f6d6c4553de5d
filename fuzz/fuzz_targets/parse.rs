//! Whole Dockerfiles: nothing panics, every place lies in the text, and what is kept of an instruction is that instruction.
#![no_main]

use libfuzzer_sys::fuzz_target;
use steprun_dockerfile::instruction::Instruction;
use steprun_dockerfile::lint::Inherited;
use steprun_dockerfile::lint::report::Report;
use steprun_dockerfile::{Source, Span, lint, parse, parse_instruction};

/// A joined line that is longer can't be parsed again: lines of a file have a limit.
const LINE: usize = 65_535;

fuzz_target!(|text: &str| {
    let source = Source::new("Dockerfile", text);
    match parse(&source) {
        Ok(dockerfile) => {
            for instruction in dockerfile.stages.iter().flat_map(|stage| &stage.instructions) {
                lies_within(&source, instruction.span);
                lies_within(&source, instruction.keyword.span);
                if dockerfile.directives.escape == '\\' {
                    is_kept(instruction);
                }
            }
            let mut findings = lint::lint(&dockerfile);
            findings.extend(lint::undefined_variables(&dockerfile, &inherited));
            for finding in &findings {
                lies_within(&source, finding.span);
            }
            let report = Report { source: &source, findings: &findings, errors: &[] };
            report.text();
            report.sarif(true);
        }
        Err(errors) => {
            assert!(!errors.is_empty());
            for error in errors {
                lies_within(&source, error.span);
                error.render(&source);
            }
        }
    }
});

/// Each stage begins with the one before it.
fn inherited(stage: usize) -> Inherited {
    stage.checked_sub(1).map_or_else(|| Inherited::Names(Vec::new()), Inherited::Stage)
}

fn lies_within(source: &Source, span: Span) {
    assert!(source.text.get(span.start..span.end).is_some(), "{span:?} of {:?}", source.text);
}

/// Heredocs aren't part of the text that is kept. White space that ends a line and is neither blank nor tab keeps a backslash before it from
/// continuing the line; without it, in the text that is kept, nothing does.
fn is_kept(instruction: &Instruction) {
    if instruction.original.contains("<<") || instruction.original.ends_with('\\') || instruction.original.len() > LINE
    {
        return;
    }
    let again = parse_instruction(&Source::new("again", instruction.original.as_str()));
    let again = again.unwrap_or_else(|errors| panic!("{:?}: {errors:?}", instruction.original));
    assert_eq!(again.kind.name(), instruction.kind.name(), "{:?}", instruction.original);
    assert_eq!(again.original, instruction.original);
}
