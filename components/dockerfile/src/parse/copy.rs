//! COPY and ADD.

use super::kind::Request;
use crate::diagnostic::Diagnostic;
use crate::flags::{Flags, Known, Takes};
use crate::heredoc;
use crate::instruction::{Copy, Heredoc};
use crate::span::Word;

const COPY_FLAGS: Known = &[
    ("from", Takes::One),
    ("chown", Takes::One),
    ("chmod", Takes::One),
    ("link", Takes::Bool),
    ("parents", Takes::Bool),
    ("exclude", Takes::Many),
];
const ADD_FLAGS: Known = &[
    ("chown", Takes::One),
    ("chmod", Takes::One),
    ("link", Takes::Bool),
    ("exclude", Takes::Many),
    ("checksum", Takes::One),
    ("keep-git-dir", Takes::Bool),
    ("unpack", Takes::Bool),
];

impl Request<'_> {
    pub(super) fn copy(&self, keyword: &str) -> Result<Copy, Diagnostic> {
        let known = if keyword == "COPY" { COPY_FLAGS } else { ADD_FLAGS };
        let flags = Flags::new(&self.command.flags, known)?;
        let (mut words, json) = self.json_or_words()?;
        if words.len() < 2 {
            let message = format!("{keyword} requires at least two arguments, but only one was provided");
            return Err(self.error(format!("{message}. Destination could not be determined")));
        }
        let Some(destination) = words.pop() else {
            return Err(self.error("no destination"));
        };
        if !json && is_heredoc(&destination) {
            let message = format!("{keyword} cannot accept a heredoc as a destination");
            return Err(Diagnostic::new(destination.span, message));
        }
        let (sources, heredocs) = self.sources(words, json)?;
        let from = flags.filled("from");
        if let Some(from) = from.as_ref().filter(|from| from.raw.contains('$')) {
            let message = "variable expansion is not supported for --from, define a new stage with FROM using ARG from global scope as a workaround";
            let hint = "write `FROM image:$TAG AS name` above and `--from=name` here";
            return Err(Diagnostic::new(from.span, message).with_hint(hint));
        }
        Ok(Copy {
            sources,
            heredocs,
            destination,
            from,
            chown: flags.filled("chown"),
            chmod: flags.filled("chmod"),
            link: flags.truth("link").unwrap_or(false),
            parents: flags.truth("parents").unwrap_or(false),
            exclude: flags.all("exclude").cloned().collect(),
            checksum: flags.filled("checksum"),
            keep_git_dir: flags.truth("keep-git-dir").unwrap_or(false),
            unpack: flags.truth("unpack"),
        })
    }

    /// Paths and heredocs, each in order.
    fn sources(&self, words: Vec<Word>, json: bool) -> Result<(Vec<Word>, Vec<Heredoc>), Diagnostic> {
        let (inline, paths): (Vec<Word>, Vec<Word>) = words.into_iter().partition(|word| !json && is_heredoc(word));
        // BuildKit would look for a file `<<`.
        if inline.len() != self.heredocs.len() {
            let place = self.heredocs.iter().map(|heredoc| heredoc.span).next().unwrap_or(self.line.span);
            let error = Diagnostic::new(place, "the delimiter of a heredoc can't have white space here");
            return Err(error.with_hint("write it right after `<<`, as one word"));
        }
        let chomp = |heredoc: &Heredoc| Heredoc { content: heredoc.chomped(), ..heredoc.clone() };
        Ok((paths, self.heredocs.iter().map(chomp).collect()))
    }
}

fn is_heredoc(word: &Word) -> bool {
    matches!(heredoc::opening(&word.raw), Ok(Some(_)))
}
