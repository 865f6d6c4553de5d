mod errors;
mod forms;
mod lines;
mod real;

use super::*;
use crate::instruction::{CommandForm, Copy, Run};
use proptest::prelude::*;

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

/// Every place must lie within the text and cut no character.
fn assert_places(source: &Source) {
    let places: Vec<Span> = match parse(source) {
        Err(errors) => errors.iter().map(|error| error.span).collect(),
        Ok(parsed) => {
            let instructions = parsed.stages.iter().flat_map(|stage| &stage.instructions);
            instructions.flat_map(|instruction| [instruction.span, instruction.keyword.span]).collect()
        }
    };
    for place in places {
        assert!(source.text.get(place.start..place.end).is_some(), "{place:?} of {:?}", source.text);
    }
}

proptest! {
    #[test]
    fn never_panics(text in "[\\PC\n\r\t]{0,120}") {
        assert_places(&Source::new("x", text));
    }

    #[test]
    fn never_panics_on_likely_text(lines in prop::collection::vec(likely_line(), 0..8)) {
        assert_places(&Source::new("x", lines.concat()));
    }

    #[test]
    fn a_trigger_is_an_instruction(text in "[a-zA-Z$ <'\"\\\\=.-]{0,40}") {
        let _ = parse_instruction(&Source::new("ONBUILD of x", format!("RUN {text}")));
    }

    #[test]
    fn original_text_parses_to_the_same(text in "[a-z$ '\"=./-]{1,40}") {
        let first = parse_instruction(&Source::new("x", format!("RUN {text}")));
        if let Ok(first) = first {
            let again = parse_instruction(&Source::new("x", first.original.clone())).unwrap();
            prop_assert_eq!(first.original, again.original);
            prop_assert_eq!(first.kind.name(), again.kind.name());
        }
    }
}

/// Pieces of Dockerfiles, put together at random.
fn likely_line() -> impl Strategy<Value = String> {
    let keyword = prop::sample::select(KEYWORDS.to_vec());
    let pieces = [
        " --mount=type=cache,target=/x",
        " --from=a",
        " --chown=$u",
        " <<EOF",
        " <<-'E F'",
        " [\"a\", \"b\"]",
        " ['a']",
        " a=b",
        " a=\"b c\"",
        " $x",
        " é",
        " \\",
        " `",
        " #",
        " as",
        " CMD",
        " --",
        " \"",
        "\\\n",
        " \\  \n",
        "\nEOF",
        "\r",
        ",",
        "=",
    ];
    let piece = prop::sample::select(pieces.to_vec());
    (keyword, prop::collection::vec(piece, 0..6), prop::sample::select(vec!["\n", "\r\n", "\n\n", " \\\n", ""]))
        .prop_map(|(keyword, pieces, end)| format!("{keyword}{}{end}", pieces.concat()))
}
