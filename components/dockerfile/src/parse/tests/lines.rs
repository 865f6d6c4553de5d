//! Rows 1 to 13, 19 and 20: lines, comments, continuations and directives.

use super::*;

#[test]
fn row_1_byte_order_mark() {
    let parsed = file("\u{feff}FROM a\nRUN b");
    assert_eq!(parsed.stages[0].from.span, Span::new(3, 9));
    assert_eq!(file("\u{feff}# escape=`\nFROM a").directives.escape, '`');
}

#[test]
fn row_2_carriage_returns() {
    let parsed = file("# escape=\\\r\nFROM a\r\n\r\nRUN b \\\r\n  c\r\n");
    let run = &parsed.stages[0].instructions[0];
    assert_eq!(run.kind, Kind::Run(self::run("RUN b   c")));
    assert_eq!(run.original, "RUN b   c");
}

#[test]
fn row_3_comments() {
    let parsed = file("# one\n   # two\nFROM a # b\n".replace(" # b", "").as_str());
    assert_eq!(parsed.stages[0].from.image.raw, "a");
    assert_eq!(run("RUN echo # not a comment").command, shell("echo # not a comment"));
}

#[test]
fn row_4_comments_in_continuations() {
    assert_eq!(run("RUN a \\\n# one\n  # two\n b").command, shell("a  b"));
    assert_eq!(run("RUN c\\\n# c\nd").command, shell("cd"));
}

#[test]
fn row_5_empty_lines_in_continuations() {
    let parsed = file("FROM a\nRUN a \\\n\n \t\n  b\nRUN c");
    assert_eq!(parsed.stages[0].instructions.len(), 2);
    assert_eq!(parsed.empty_continuations.len(), 2);
    assert_eq!(parsed.stages[0].instructions[0].original, "RUN a   b");
}

#[test]
fn row_6_blanks_after_the_continuation_character() {
    assert_eq!(run("RUN a \\ \t\n b").command, shell("a  b"));
    // An escaped escape continues nothing.
    assert_eq!(file("FROM a\nRUN a \\\\\nRUN b").stages[0].instructions.len(), 2);
    // Other white space is no blank, though it is trimmed.
    let two = file("FROM a\nRUN a \\\u{b}\nRUN b");
    assert_eq!(two.stages[0].instructions.len(), 2);
    assert_eq!(two.stages[0].instructions[0].original, "RUN a \\");
}

#[test]
fn row_7_continuation_at_the_end() {
    assert_eq!(run("RUN a \\").command, shell("a"));
    assert_eq!(run("RUN a \\\n").command, shell("a"));
    assert_eq!(run("RUN a \\\n# b").command, shell("a"));
    assert_eq!(file("FROM a\n\\\n").stages[0].instructions.len(), 0);
    assert_eq!(run("\\\nRUN a").command, shell("a"));
}

#[test]
fn row_8_escape_directive() {
    for head in ["# escape=`\n", "#escape=`\n", "# syntax=x\n#  ESCAPE = ` \n", "  # escape=`\r\n"] {
        let parsed = file(&format!("{head}FROM a\nRUN c:\\\nRUN d `\n e\nENV a=b` c"));
        let kinds: Vec<&Kind> = parsed.stages[0].instructions.iter().map(|one| &one.kind).collect();
        assert_eq!(parsed.directives.escape, '`', "{head}");
        assert_eq!(kinds[0], &Kind::Run(self::run("RUN [\"x\"]").with_command(shell("c:\\"))));
        assert_eq!(kinds[1], &Kind::Run(self::run("RUN d  e")));
        assert!(matches!(kinds[2], Kind::Env(pairs) if pairs[0].value.raw == "b` c"));
    }
    assert_eq!(wrong("# escape=x\nFROM a")[0].message, "invalid escape token 'x' does not match ` or \\");
}

#[test]
fn row_9_directives_only_at_the_top() {
    for head in ["# comment\n", "\n", "FROM a\n", "# a=b\n", "#!shebang\n"] {
        assert_eq!(file(&format!("{head}# escape=`\nFROM a")).directives.escape, '\\', "{head}");
    }
}

#[test]
fn row_10_directives_once() {
    let error = &wrong("# escape=`\n# Escape=`\nFROM a")[0];
    assert_eq!((error.message.as_str(), error.span.start), ("only one escape parser directive can be used", 11));
    // An unknown one ends them.
    assert_eq!(file("# unknown=x\n# escape=`\nFROM a").directives.escape, '\\');
}

#[test]
fn row_11_syntax() {
    let syntax = file("# syntax = docker/dockerfile:1.7-labs some flags\nFROM a").directives.syntax.unwrap();
    assert_eq!((syntax.raw.as_str(), syntax.span), ("docker/dockerfile:1.7-labs", Span::new(11, 37)));
}

#[test]
fn row_12_check() {
    let check = file("# check=skip=A, B ;error=true; experimental=all\nFROM a").directives.check.unwrap();
    assert_eq!((check.skip, check.error, check.experimental_all), (vec!["A".into(), "B".into()], true, true));
    assert!(file("#check=skip=all\nFROM a").directives.check.unwrap().skip_all);
    assert_eq!(wrong("# check=skipp=A\nFROM a")[0].message, "invalid check option \"skipp=A\"");
    assert_eq!(wrong("# check=error=yes\nFROM a")[0].message, "invalid check option \"error=yes\"");
}

#[test]
fn row_13_keywords_in_any_case() {
    let parsed = file("from a As B\nrUn c");
    assert_eq!(parsed.stages[0].name.as_deref(), Some("b"));
    assert_eq!(parsed.stages[0].instructions[0].keyword.raw, "rUn");
}

#[test]
fn row_19_files_without_instructions() {
    assert_eq!(wrong("")[0].message, "the Dockerfile cannot be empty");
    assert_eq!(wrong("\u{feff}")[0].message, "the Dockerfile cannot be empty");
    assert_eq!(wrong("# a\n\n  # b\n")[0].message, "file with no instructions");
    assert_eq!(wrong("\n \n")[0].message, "file with no instructions");
    assert_eq!(wrong("ARG a=b\n")[0].message, "dockerfile contains no stages to build");
}

#[test]
fn row_20_long_lines() {
    let line = |length: usize| format!("FROM a\nRUN {}\n", "x".repeat(length - 4));
    assert_eq!(file(&line(65_535)).stages[0].instructions.len(), 1);
    let errors = wrong(&line(65_536));
    assert_eq!(errors[0].message, "dockerfile line greater than max allowed size of 65535");
    assert_eq!(errors[0].span.start, 7);
    // A logical line may be longer.
    let long = format!("FROM a\nRUN {}y", "x \\\n".repeat(30_000));
    assert_eq!(file(&long).stages[0].instructions.len(), 1);
}

#[test]
fn places_reach_over_continuations() {
    let text = "FROM a\nENV x=1 \\\n  # no\n  y=2\n";
    let parsed = file(text);
    let source = Source::new("x", text);
    let env = &parsed.stages[0].instructions[0];
    assert_eq!(source.slice(env.span), "ENV x=1 \\\n  # no\n  y=2");
    let Kind::Env(pairs) = &env.kind else { panic!() };
    assert_eq!(source.slice(pairs[1].key.span.to(pairs[1].value.span)), "y=2");
    let joined = file("FROM a\nRUN --mount=type=tmp\\\nfs,target=/x y");
    let Kind::Run(run) = &joined.stages[0].instructions[0].kind else { panic!() };
    assert_eq!(run.mounts[0].fields[0].value.as_ref().unwrap().raw, "tmpfs");
}

#[test]
fn descriptions_are_comments_that_start_with_the_name() {
    let parsed = file("# V is the version\nARG V=1\n# other\n# build makes it\nFROM a AS Build\n# x y\n#\nARG x");
    assert_eq!(parsed.global_args[0].description.as_deref(), Some("is the version"));
    assert_eq!(parsed.stages[0].description.as_deref(), Some("makes it"));
    // An empty comment line ends what came before.
    let Kind::Arg(args) = &parsed.stages[0].instructions[0].kind else { panic!() };
    assert_eq!(args[0].description, None);
}

impl Run {
    fn with_command(mut self, command: CommandForm) -> Self {
        self.command = command;
        self
    }
}
