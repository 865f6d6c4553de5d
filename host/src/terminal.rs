//! Keeps what a component writes from being more than text.
//!
//! A terminal obeys escape sequences; CI runners obey lines such as `::set-output` (GitHub), `##[group]` and `##vso[...]` (Azure),
//! `##teamcity[...]`. A component that may only print must reach neither.

use std::io::{self, Write};

/// Line beginnings and fragments that CI runners take for commands, and what stands in their place.
const AT_LINE_START: (&str, &str) = ("::", ": :");
const ANYWHERE: [(&str, &str); 3] = [("##[", "# #["), ("##vso[", "# #vso["), ("##teamcity[", "# #teamcity[")];

/// A text without control characters but newline and tab, and without commands in any of its lines.
pub fn plain(text: &str) -> String {
    text.split_inclusive('\n').map(neutral).collect()
}

/// Filters a byte stream: complete lines are passed on without control characters and runner commands, a last incomplete one at [`Filter::finish`].
#[derive(Debug)]
pub struct Filter<W> {
    inner: W,
    line: Vec<u8>,
}

/// A line longer than this is passed on in pieces: a component can't make the host hold more.
const LONGEST_LINE: usize = 64 * 1024;

impl<W: Write> Filter<W> {
    /// A filter in front of a writer.
    pub fn new(inner: W) -> Self {
        Self { inner, line: Vec::new() }
    }

    /// Passes on what has no newline yet.
    pub fn finish(&mut self) -> io::Result<()> {
        let line = std::mem::take(&mut self.line);
        self.inner.write_all(plain(&String::from_utf8_lossy(&line)).as_bytes())?;
        self.inner.flush()
    }
}

impl<W: Write> Write for Filter<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        for piece in bytes.split_inclusive(|&byte| byte == b'\n') {
            self.line.extend_from_slice(piece);
            if piece.ends_with(b"\n") || self.line.len() > LONGEST_LINE {
                let line = std::mem::take(&mut self.line);
                self.inner.write_all(plain(&String::from_utf8_lossy(&line)).as_bytes())?;
            }
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

fn neutral(line: &str) -> String {
    let mut text: String = line.chars().filter(|&c| c == '\n' || c == '\t' || !c.is_control()).collect();
    let start = text.len() - text.trim_start().len();
    if text[start..].starts_with(AT_LINE_START.0) {
        text.replace_range(start..start + AT_LINE_START.0.len(), AT_LINE_START.1);
    }
    for (command, harmless) in ANYWHERE {
        if text.contains(command) {
            text = text.replace(command, harmless);
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filtered(pieces: &[&[u8]]) -> String {
        let mut out = Vec::new();
        let mut filter = Filter::new(&mut out);
        for piece in pieces {
            filter.write_all(piece).unwrap();
        }
        filter.finish().unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn what_terminals_and_runners_obey_is_made_harmless() {
        for (input, output) in [
            ("plain \u{e9} text\n\ttabbed\n", "plain \u{e9} text\n\ttabbed\n"),
            ("\u{1b}[2J\u{1b}]0;title\u{7}x\r\n", "[2J]0;titlex\n"),
            ("::set-env name=A::b\n", ": :set-env name=A::b\n"),
            ("  ::error::x\n", "  : :error::x\n"),
            ("\u{1b}::error::x\n", ": :error::x\n"),
            ("a ##[command]x ##vso[task] ##teamcity[y\n", "a # #[command]x # #vso[task] # #teamcity[y\n"),
            ("::no newline", ": :no newline"),
            ("\u{9b}31mred\n", "31mred\n"),
        ] {
            assert_eq!(filtered(&[input.as_bytes()]), output, "{input:?}");
        }
    }

    #[test]
    fn every_line_of_a_message_is_plain() {
        assert_eq!(plain("one\n::two\n##[three]\u{7}"), "one\n: :two\n# #[three]");
    }

    #[test]
    fn a_command_split_over_writes_is_still_seen() {
        assert_eq!(filtered(&[b":", b":", b"error::x\n"]), ": :error::x\n");
    }

    #[test]
    fn an_endless_line_is_not_kept() {
        let mut filter = Filter::new(io::sink());
        filter.write_all(&vec![b'x'; 1 << 20]).unwrap();
        assert!(filter.line.len() <= LONGEST_LINE);
    }
}
