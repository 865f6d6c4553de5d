//! Commands that fail: what is said about them.

use std::iter::Peekable;
use std::str::Chars;

use steprun_ports::{Error, Failure, Outcome};

/// Lines of output that a failure repeats at most.
const LINES: usize = 20;

/// Characters of a line of output at most.
const LINE_WIDTH: usize = 500;

/// Characters of an instruction in a message at most.
const NAME_WIDTH: usize = 100;

/// A command that the host did not run.
pub(super) fn not_run(instruction: &str, error: Error, hint: Option<String>) -> Failure {
    let failure = Failure::because(format!("`{}` could not be run", shown(instruction)), error);
    with_hint(failure, hint)
}

/// A command that ended badly. Its exit status becomes that of the build.
pub(super) fn of<S, B>(instruction: &str, outcome: Outcome<S, B>, hint: Option<String>) -> Failure {
    let Outcome { status, reason, output, remedy, .. } = outcome;
    let instruction = shown(instruction);
    if status == 0 {
        return Failure::failed(format!("the host has lost the files that `{instruction}` left behind"));
    }
    let mut failure = Failure::failed(format!("`{instruction}` did not complete: exit status {status}"));
    failure.exit_status = Some(status);
    failure.causes.extend(reason);
    let lines = last_lines(&output);
    if !lines.is_empty() {
        failure.causes.push(format!("its last output:\n    {}", lines.join("\n    ")));
    }
    with_hint(failure, remedy.or(hint))
}

fn with_hint(failure: Failure, hint: Option<String>) -> Failure {
    match hint {
        Some(hint) if failure.hint.is_none() => failure.hint(hint),
        _ => failure,
    }
}

/// The first line of an instruction, not too long.
fn shown(instruction: &str) -> String {
    let first = instruction.lines().next().unwrap_or_default();
    cut(first, NAME_WIDTH)
}

fn cut(line: &str, width: usize) -> String {
    match line.char_indices().nth(width) {
        Some((end, _)) => format!("{}...", &line[..end]),
        None => line.to_owned(),
    }
}

/// The last lines that say something, without control characters. Of a line that was written over, as progress bars are, the end counts.
fn last_lines(output: &[u8]) -> Vec<String> {
    let text = String::from_utf8_lossy(output);
    let lines = text.lines().map(|line| line.trim_end_matches('\r').rsplit('\r').next().unwrap_or_default());
    let mut lines: Vec<String> = lines.map(clean).filter(|line| !line.trim().is_empty()).collect();
    lines.drain(..lines.len().saturating_sub(LINES));
    lines
}

/// A line without control characters and without the escape sequences that they begin (ECMA-48).
fn clean(line: &str) -> String {
    let mut clean = String::new();
    let mut chars = line.chars().peekable();
    while let Some(next) = chars.next() {
        match next {
            '\u{1b}' => skip_sequence(&mut chars),
            '\t' => clean.push(' '),
            c if c.is_control() => {}
            c => clean.push(c),
        }
    }
    cut(clean.trim_end(), LINE_WIDTH)
}

/// Reads what follows an escape character: a control sequence, a command of the operating system, or intermediates and a final character.
fn skip_sequence(chars: &mut Peekable<Chars<'_>>) {
    if chars.next_if_eq(&'[').is_some() {
        while chars.next_if(|c| (' '..='?').contains(c)).is_some() {}
    } else if chars.next_if_eq(&']').is_some() {
        while chars.next_if(|c| !matches!(c, '\u{7}' | '\u{1b}')).is_some() {}
        // The end is one character, or two of which the second is a backslash.
        if chars.next() == Some('\u{1b}') {
            chars.next_if_eq(&'\\');
        }
        return;
    } else {
        while chars.next_if(|c| (' '..='/').contains(c)).is_some() {}
    }
    chars.next();
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcome(status: u8, output: &str) -> Outcome<(), ()> {
        Outcome { status, reason: None, output: output.into(), snapshot: None, remedy: None, reads: None }
    }

    #[test]
    fn output_is_cleaned() {
        for (output, lines) in [
            ("a\nb\n", &["a", "b"][..]),
            ("\u{1b}[1;31mred\u{1b}[0m \u{7}x\u{1b}(B\n\n", &["red x"]),
            ("10%\r50%\r100%\r\nok", &["100%", "ok"]),
            ("  in\tdented", &["  in dented"]),
            ("\u{1b}[", &[]),
            ("\u{1b}]0;title\u{7}a\u{1b}]8;;u\u{1b}\\link", &["alink"]),
        ] {
            assert_eq!(last_lines(output.as_bytes()), lines, "{output:?}");
        }
        let many: String = (0..50).map(|line| format!("{line}\n")).collect();
        let kept = last_lines(many.as_bytes());
        assert_eq!((kept.len(), kept[0].as_str()), (LINES, "30"));
        assert_eq!(last_lines(&[b'x'; 600])[0].len(), LINE_WIDTH + 3);
        assert_eq!(last_lines(b"a\xffb"), ["a\u{fffd}b"]);
    }

    #[test]
    fn row_61_the_exit_status_is_passed_on() {
        let failure = of("RUN exit 42", outcome(42, "no\n"), None);
        assert_eq!(failure.exit_status, Some(42));
        assert_eq!(failure.message, "`RUN exit 42` did not complete: exit status 42");
        assert_eq!(failure.causes, ["its last output:\n    no"]);
        let long = of(&format!("RUN {}", "x".repeat(200)), outcome(1, ""), Some("h".into()));
        assert!(long.message.starts_with("`RUN xxx") && long.message.len() < 160, "{}", long.message);
        assert_eq!((long.hint.as_deref(), long.causes.len()), (Some("h"), 0));
        let killed =
            Outcome { reason: Some("killed by signal 9".into()), remedy: Some("r".into()), ..outcome(137, "") };
        let killed = of("RUN x", killed, Some("h".into()));
        assert_eq!((killed.causes, killed.hint.as_deref()), (vec!["killed by signal 9".to_owned()], Some("r")));
    }
}
