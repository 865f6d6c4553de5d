//! From text to a [`Dockerfile`].

mod arguments;
mod copy;
mod kind;
mod run;
mod stages;
#[cfg(test)]
mod tests;

use crate::diagnostic::Diagnostic;
use crate::directive::DirectiveReader;
use crate::heredoc;
use crate::instruction::{Dockerfile, From, Heredoc, Instruction, Kind, StrayComment};
use crate::lexical::{self, Command, Json};
use crate::line::{Line, Reader};
use crate::span::{Source, Span};
use crate::suggest;
use kind::Parsed;
use stages::Builder;

/// All keywords.
const KEYWORDS: [&str; 18] = [
    "ADD",
    "ARG",
    "CMD",
    "COPY",
    "ENTRYPOINT",
    "ENV",
    "EXPOSE",
    "FROM",
    "HEALTHCHECK",
    "LABEL",
    "MAINTAINER",
    "ONBUILD",
    "RUN",
    "SHELL",
    "STOPSIGNAL",
    "USER",
    "VOLUME",
    "WORKDIR",
];

/// Parses a Dockerfile.
///
/// # Errors
///
/// All that is wrong with it, in order, at least one message; after an unterminated heredoc or a line that is too long nothing
/// more is looked at.
pub fn parse(source: &Source) -> Result<Dockerfile, Vec<Diagnostic>> {
    let mut parser = Parser::new(source, DirectiveReader::default());
    let mut builder = Builder::default();
    let mut any = false;
    while let Some(statement) = parser.statement() {
        any = true;
        let Some(statement) = parser.keep(statement) else {
            continue;
        };
        if let Err(error) = builder.push(statement) {
            parser.errors.push(error);
        }
    }
    if parser.errors.is_empty() && builder.stages.is_empty() {
        let message = match () {
            () if source.text.trim_start_matches('\u{feff}').is_empty() => "the Dockerfile cannot be empty",
            () if !any => "file with no instructions",
            () => "dockerfile contains no stages to build",
        };
        parser.errors.push(Diagnostic::new(Span::default(), message).with_hint("start with `FROM image`"));
    }
    if !parser.errors.is_empty() {
        return Err(parser.errors);
    }
    let Builder { global_args, stages } = builder;
    let directives = parser.reader.directives.finish();
    let (warnings, empty_continuations, stray_comments) = (parser.warnings, parser.empty, parser.stray);
    Ok(Dockerfile { directives, global_args, stages, warnings, empty_continuations, stray_comments })
}

/// Parses a single instruction with its heredocs, such as the ONBUILD trigger of a base image. Directives don't count in it.
///
/// # Errors
///
/// All that [`parse`] refuses, FROM, and text that isn't one instruction.
pub fn parse_instruction(source: &Source) -> Result<Instruction, Vec<Diagnostic>> {
    let mut parser = Parser::new(source, DirectiveReader::none());
    let first = parser.statement().and_then(|statement| parser.keep(statement));
    let more = parser.errors.is_empty() && parser.statement().is_some();
    let whole = Span::new(0, source.text.len());
    let error = |message: &str| Diagnostic::new(whole, message);
    match first {
        _ if !parser.errors.is_empty() => Err(parser.errors),
        _ if more => Err(vec![error("onbuild trigger should be a single expression")]),
        None => Err(vec![error("file with no instructions")]),
        Some(Statement::From { .. }) => Err(vec![error("FROM is not allowed here")]),
        Some(Statement::Instruction(instruction)) => Ok(instruction),
    }
}

/// An instruction or the start of a stage.
enum Statement {
    From { from: From, description: Option<String> },
    Instruction(Instruction),
}

struct Parser<'s> {
    source: &'s Source,
    reader: Reader<'s>,
    errors: Vec<Diagnostic>,
    warnings: Vec<Diagnostic>,
    empty: Vec<Span>,
    stray: Vec<StrayComment>,
    stopped: bool,
}

impl<'s> Parser<'s> {
    fn new(source: &'s Source, directives: DirectiveReader) -> Self {
        let reader = Reader::new(source, directives);
        let (errors, warnings, empty, stray) = Default::default();
        Self { source, reader, errors, warnings, empty, stray, stopped: false }
    }

    /// The next statement, or why it is none; nothing at the end and after an error that leaves no way on.
    fn statement(&mut self) -> Option<Result<Statement, Diagnostic>> {
        if self.stopped {
            return None;
        }
        let line = match self.reader.line() {
            Ok(line) => line?,
            Err(error) => return Some(Err(self.stop(error))),
        };
        self.empty.extend(&line.empty);
        let escape = self.reader.directives.escape();
        let command = lexical::command(line.whole(), escape);
        let (heredocs, end) = match self.heredocs(&line, &command, escape) {
            Ok(read) => read,
            Err(error) => return Some(Err(error)),
        };
        let span = Span::new(line.span.start, end);
        let request = kind::Request { command, heredocs, escape, source: self.source, line: &line };
        Some(request.parse().map(|parsed| self.statement_of(parsed, &request, span)))
    }

    fn statement_of(&mut self, parsed: Parsed, request: &kind::Request<'_>, span: Span) -> Statement {
        let original = request.line.text.trim().to_owned();
        let keyword = request.command.keyword.word();
        match parsed {
            Parsed::From { platform, image, as_keyword, alias } => {
                let name = alias.as_ref().map(|alias| alias.raw.to_lowercase());
                let description = name.as_deref().and_then(|name| arguments::description(request.line, name));
                let names: Vec<&str> = name.as_deref().into_iter().collect();
                self.stray.extend(arguments::stray_comment(request.line, "FROM", &names, span));
                let from = From { platform, image, alias, as_keyword, keyword, original, span };
                Statement::From { from, description }
            }
            Parsed::Kind(kind) => {
                if let Kind::Arg(args) = &kind {
                    let names: Vec<&str> = args.iter().map(|arg| arg.name.raw.as_str()).collect();
                    self.stray.extend(arguments::stray_comment(request.line, "ARG", &names, span));
                }
                self.warn_of_trigger(&kind);
                Statement::Instruction(Instruction { kind, span, keyword, original })
            }
        }
    }

    /// A trigger is parsed by the builds that use the image; whoever writes it wants to know now.
    fn warn_of_trigger(&mut self, kind: &Kind) {
        let Kind::Onbuild(onbuild) = kind else { return };
        let trigger = Source::new("ONBUILD", onbuild.trigger.as_str());
        if let Err(errors) = parse_instruction(&trigger) {
            self.warnings.extend(errors.into_iter().map(|error| Diagnostic {
                span: onbuild.span,
                message: format!("this trigger will fail in every build that uses the image: {}", error.message),
                hint: error.hint,
            }));
        }
    }

    /// The bodies of a line's heredocs and the end of the last one.
    fn heredocs(
        &mut self,
        line: &Line,
        command: &Command<'_>,
        escape: char,
    ) -> Result<(Vec<Heredoc>, usize), Diagnostic> {
        let mut end = line.span.end;
        if !line.text.contains("<<") || !can_have_heredocs(command, escape) {
            return Ok((Vec::new(), end));
        }
        let openings =
            heredoc::openings(line.whole()).map_err(|error| Diagnostic::new(line.span, error.to_string()))?;
        let mut heredocs = Vec::new();
        for opening in openings {
            let body = self.reader.body(&opening.name, opening.chomp).map_err(|error| self.stop(error))?;
            let Some((content, content_span, after)) = body else {
                let error = Diagnostic::new(opening.span, "unterminated heredoc");
                let hint = format!("a line with nothing but `{}` must follow", opening.name);
                return Err(self.stop(error.with_hint(hint)));
            };
            end = after;
            heredocs.push(opening.with(content, content_span));
        }
        Ok((heredocs, end))
    }

    fn stop(&mut self, error: Diagnostic) -> Diagnostic {
        self.stopped = true;
        error
    }

    /// Puts an error aside.
    fn keep<T>(&mut self, result: Result<T, Diagnostic>) -> Option<T> {
        result.map_err(|error| self.errors.push(error)).ok()
    }
}

/// ADD, COPY and RUN that aren't in JSON form, also in ONBUILD.
fn can_have_heredocs(command: &Command<'_>, escape: char) -> bool {
    match command.keyword.text().to_ascii_uppercase().as_str() {
        "ADD" | "COPY" | "RUN" => matches!(lexical::json(command.arguments), Json::Not),
        "ONBUILD" => {
            let inner = lexical::command(command.arguments, escape);
            !inner.keyword.text().eq_ignore_ascii_case("ONBUILD") && can_have_heredocs(&inner, escape)
        }
        _ => false,
    }
}

/// The message for a keyword that there is none.
fn unknown_instruction(command: &Command<'_>) -> Diagnostic {
    let word = command.keyword.text();
    let mut error = Diagnostic::new(command.keyword.span(), format!("unknown instruction: {word}"));
    error.hint = suggest::hint(word, KEYWORDS, "");
    error
}
