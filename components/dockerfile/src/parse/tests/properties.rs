//! What holds of every text.

use super::*;
use crate::instruction::{Device, KeyValue, Onbuild};
use crate::lint;
use crate::lint::report::Report;
use crate::span::Word;
use proptest::prelude::*;

/// All places of a Dockerfile.
fn places(dockerfile: &Dockerfile) -> Vec<Span> {
    let mut spans: Vec<Span> = dockerfile.empty_continuations.clone();
    spans.extend(dockerfile.warnings.iter().map(|warning| warning.span));
    spans.extend(dockerfile.stray_comments.iter().map(|stray| stray.span));
    spans.extend(dockerfile.directives.syntax.iter().map(|word| word.span));
    spans.extend(dockerfile.directives.check.iter().map(|check| check.span));
    spans.extend(dockerfile.global_args.iter().flat_map(of_arg));
    for stage in &dockerfile.stages {
        let From { platform, image, alias, as_keyword, keyword, original: _, span } = &stage.from;
        spans.extend([stage.span, *span, image.span, keyword.span]);
        spans.extend([platform, alias, as_keyword].into_iter().flatten().map(|word| word.span));
        for Instruction { kind, span, keyword, original: _ } in &stage.instructions {
            spans.extend([*span, keyword.span]);
            spans.extend(of_kind(kind));
        }
    }
    spans
}

fn of_arg(arg: &Arg) -> Vec<Span> {
    let default = arg.default.iter().map(|word| word.span);
    [arg.span, arg.name.span].into_iter().chain(default).collect()
}

fn of_words<'w>(words: impl IntoIterator<Item = &'w Word>) -> Vec<Span> {
    words.into_iter().map(|word| word.span).collect()
}

fn of_heredocs(heredocs: &[Heredoc]) -> Vec<Span> {
    heredocs.iter().flat_map(|heredoc| [heredoc.span, heredoc.content_span]).collect()
}

fn of_copy(copy: &Copy) -> Vec<Span> {
    let Copy { sources, heredocs, destination, from, chown, chmod, exclude, checksum, .. } = copy;
    let flags = [from, chown, chmod, checksum].into_iter().flatten();
    let mut spans = of_words(sources.iter().chain([destination]).chain(flags).chain(exclude));
    spans.extend(of_heredocs(heredocs));
    spans
}

fn of_run(run: &Run) -> Vec<Span> {
    let mut spans = of_heredocs(&run.heredocs);
    for mount in &run.mounts {
        spans.push(mount.span);
        spans.extend(of_words(mount.fields.iter().filter_map(|field| field.value.as_ref())));
    }
    spans.extend(run.devices.iter().flat_map(|Device { name, span, .. }| [name.span, *span]));
    spans
}

fn of_kind(kind: &Kind) -> Vec<Span> {
    match kind {
        Kind::Add(copy) | Kind::Copy(copy) => of_copy(copy),
        Kind::Run(run) => of_run(run),
        Kind::Env(pairs) | Kind::Label(pairs) => {
            pairs.iter().flat_map(|KeyValue { key, value, .. }| [key.span, value.span]).collect()
        }
        Kind::Arg(args) => args.iter().flat_map(of_arg).collect(),
        Kind::Expose(words) | Kind::Volume(words) => of_words(words),
        Kind::User(word) | Kind::Workdir(word) | Kind::StopSignal(word) => vec![word.span],
        Kind::Onbuild(Onbuild { span, .. }) => vec![*span],
        Kind::Shell(_) | Kind::Healthcheck(_) | Kind::Cmd(_) | Kind::Entrypoint(_) | Kind::Maintainer(_) => Vec::new(),
    }
}

/// Every place lies within the text and cuts no character; what is printed of errors and findings doesn't fail.
fn check(text: &str) {
    let source = Source::new("x", text);
    let (spans, findings, errors) = match parse(&source) {
        Ok(dockerfile) => {
            let findings = lint::lint(&dockerfile);
            let spans = places(&dockerfile).into_iter().chain(findings.iter().map(|finding| finding.span)).collect();
            kept(&dockerfile);
            (spans, findings, Vec::new())
        }
        Err(errors) => (errors.iter().map(|error| error.span).collect::<Vec<_>>(), Vec::new(), errors),
    };
    for span in spans {
        assert!(source.text.get(span.start..span.end).is_some(), "{span:?} of {text:?}");
    }
    let report = Report { source: &source, findings: &findings, errors: &errors };
    assert!(report.text().ends_with('\n'));
    for json in [report.json(), report.sarif(true)] {
        serde_json::from_str::<serde_json::Value>(&json).unwrap();
    }
}

/// What is kept of an instruction is that instruction. Heredocs aren't kept, nor is the escape directive.
fn kept(dockerfile: &Dockerfile) {
    let instructions = dockerfile.stages.iter().flat_map(|stage| &stage.instructions);
    for one in instructions.filter(|one| !one.original.contains("<<") && dockerfile.directives.escape == '\\') {
        let again = parse_instruction(&Source::new("again", one.original.as_str()));
        let again = again.unwrap_or_else(|errors| panic!("{:?}: {errors:?}", one.original));
        assert_eq!((again.kind.name(), &again.original), (one.kind.name(), &one.original));
    }
}

proptest! {
    #[test]
    fn any_text(text in "[\\PC\n\r\t]{0,120}") {
        check(&text);
    }

    #[test]
    fn likely_text(lines in prop::collection::vec(likely_line(), 0..8)) {
        check(&lines.concat());
    }

    #[test]
    fn well_formed_text(lines in prop::collection::vec(well_formed(), 0..8)) {
        let text = format!("FROM a\n{}", lines.concat());
        file(&text);
        check(&text);
    }

    #[test]
    fn a_trigger_is_an_instruction(text in "[a-zA-Z$ <'\"\\\\=.-]{0,40}") {
        let _ = parse_instruction(&Source::new("ONBUILD of x", format!("RUN {text}")));
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

/// Instructions of every kind, with line ends of every kind within and behind them.
fn well_formed() -> impl Strategy<Value = String> {
    let forms = [
        "FROM~a:$B~AS~c",
        "FROM~--platform=$P~a",
        "ADD~--checksum=$c~a~é/",
        "COPY~--from=c~--chown=$u:g~--exclude=*.o~a~[b]~/c",
        "COPY~[\"a b\",~\"é\"]",
        "RUN~--mount=type=cache,target=/x~--network=none~--device=v/c=n,required~make~é",
        "RUN~[\"a\",~\"b\"]",
        "ENV~a=b~c=\"d\"~é=$e",
        "ENV~a~b~c",
        "ARG~a=$b~c",
        "LABEL~a.b=c",
        "EXPOSE~80/tcp~$P",
        "USER~$u",
        "WORKDIR~/é",
        "VOLUME~/a~/b",
        "STOPSIGNAL~9",
        "SHELL~[\"a\"]",
        "HEALTHCHECK~--interval=1s~CMD~a~b",
        "CMD~a~b",
        "ENTRYPOINT~[\"a\"]",
        "ONBUILD~COPY~--chmod=$m~a~b",
        "MAINTAINER~é",
    ];
    let gaps = prop::collection::vec(prop::sample::select(vec![" ", "  ", "\t", " \\\n", " \\ \r\n # c\n\n "]), 8);
    let ends = prop::sample::select(vec!["\n", "\r\n", "\n\n# c\n", " \t\n"]);
    (prop::sample::select(forms.to_vec()), gaps, ends).prop_map(|(form, gaps, end)| {
        let mut gaps = gaps.into_iter().cycle();
        let parts: Vec<String> = form.split('~').map(str::to_owned).collect();
        let joined = parts.into_iter().reduce(|line, part| format!("{line}{}{part}", gaps.next().unwrap_or(" ")));
        joined.unwrap_or_default() + end
    })
}
