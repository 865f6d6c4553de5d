//! Arguments of each instruction (BuildKit: `instructions/parse.go`).

use super::arguments::{arg_list, key_values};
use crate::diagnostic::Diagnostic;
use crate::duration;
use crate::flags::{Flags, Known, Takes};
use crate::instruction::{CommandForm, Healthcheck, Heredoc, Kind, Onbuild};
use crate::lexical::{self, Command, Json};
use crate::line::{Fragment, Line};
use crate::span::{Source, Word};

/// An instruction's line, cut, and all that is needed to understand it.
pub(super) struct Request<'l> {
    pub(super) command: Command<'l>,
    pub(super) heredocs: Vec<Heredoc>,
    pub(super) escape: char,
    pub(super) source: &'l Source,
    pub(super) line: &'l Line,
}

/// What a line means.
pub(super) enum Parsed {
    From { platform: Option<Word>, image: Word, as_keyword: Option<Word>, alias: Option<Word> },
    Kind(Kind),
}

const NO_FLAGS: Known = &[];
const FROM_FLAGS: Known = &[("platform", Takes::One)];
const HEALTHCHECK_FLAGS: Known = &[
    ("interval", Takes::One),
    ("timeout", Takes::One),
    ("start-period", Takes::One),
    ("start-interval", Takes::One),
    ("retries", Takes::One),
];

/// The shortest duration of HEALTHCHECK, in nanoseconds.
const MINIMUM_DURATION: i64 = 1_000_000;

impl<'l> Request<'l> {
    pub(super) fn parse(&self) -> Result<Parsed, Diagnostic> {
        let arguments = self.command.arguments;
        let keyword = self.command.keyword.text().to_ascii_uppercase();
        let kind = match keyword.as_str() {
            "FROM" => return self.from(),
            "ADD" => Kind::Add(self.copy("ADD")?),
            "COPY" => Kind::Copy(self.copy("COPY")?),
            "RUN" => Kind::Run(self.run()?),
            "HEALTHCHECK" => Kind::Healthcheck(self.healthcheck()?),
            other => {
                // BuildKit doesn't look at the flags of ARG and STOPSIGNAL; here they are errors as everywhere.
                if super::KEYWORDS.contains(&other) {
                    Flags::new(&self.command.flags, NO_FLAGS)?;
                }
                self.without_flags(other, arguments)?
            }
        };
        Ok(Parsed::Kind(kind))
    }

    fn without_flags(&self, keyword: &str, arguments: Fragment<'l>) -> Result<Kind, Diagnostic> {
        Ok(match keyword {
            "ENV" => Kind::Env(key_values(arguments, "ENV", self.escape)?),
            "LABEL" => Kind::Label(key_values(arguments, "LABEL", self.escape)?),
            "ARG" => Kind::Arg(arg_list(arguments, self.escape)?),
            "EXPOSE" => Kind::Expose(self.at_least_one("EXPOSE")?),
            "USER" => Kind::User(self.exactly_one("USER")?),
            "WORKDIR" => Kind::Workdir(self.exactly_one("WORKDIR")?),
            "STOPSIGNAL" => Kind::StopSignal(self.exactly_one("STOPSIGNAL")?),
            "MAINTAINER" => Kind::Maintainer(self.exactly_one("MAINTAINER")?.raw),
            "VOLUME" => Kind::Volume(self.volumes()?),
            "SHELL" => Kind::Shell(self.shell()?),
            "CMD" => Kind::Cmd(self.command_form(arguments)?),
            "ENTRYPOINT" => Kind::Entrypoint(self.command_form(arguments)?),
            "ONBUILD" => Kind::Onbuild(self.onbuild()?),
            _ => return Err(super::unknown_instruction(&self.command)),
        })
    }

    /// A message about the whole instruction.
    pub(super) fn error(&self, message: impl Into<String>) -> Diagnostic {
        Diagnostic::new(self.line.span, message)
    }

    fn exactly_one(&self, keyword: &str) -> Result<Word, Diagnostic> {
        match self.command.arguments.text() {
            "" => Err(self.error(format!("{keyword} requires exactly one argument"))),
            _ => Ok(self.command.arguments.word()),
        }
    }

    fn at_least_one(&self, keyword: &str) -> Result<Vec<Word>, Diagnostic> {
        let words: Vec<Word> = lexical::blank_words(self.command.arguments).into_iter().map(Fragment::word).collect();
        if words.is_empty() {
            return Err(self.error(format!("{keyword} requires at least one argument")));
        }
        Ok(words)
    }

    /// Words of a JSON array, else between blanks; and whether they are of an array.
    pub(super) fn json_or_words(&self) -> Result<(Vec<Word>, bool), Diagnostic> {
        match lexical::json(self.command.arguments) {
            Json::Strings(words) => Ok((words, true)),
            Json::Mixed => Err(self.mixed()),
            Json::Not => {
                Ok((lexical::blank_words(self.command.arguments).into_iter().map(Fragment::word).collect(), false))
            }
        }
    }

    fn mixed(&self) -> Diagnostic {
        let message = "when using JSON array syntax, arrays must be comprised of strings only";
        Diagnostic::new(self.command.arguments.span(), message)
    }

    /// A JSON array, else one string for the shell.
    pub(super) fn command_form(&self, text: Fragment<'l>) -> Result<CommandForm, Diagnostic> {
        match lexical::json(text) {
            Json::Strings(words) => Ok(CommandForm::Exec(words.into_iter().map(|word| word.raw).collect())),
            Json::Mixed => Err(self.mixed()),
            Json::Not => Ok(CommandForm::Shell(text.text().to_owned())),
        }
    }

    fn from(&self) -> Result<Parsed, Diagnostic> {
        let flags = Flags::new(&self.command.flags, FROM_FLAGS)?;
        let platform = flags.filled("platform");
        let words = lexical::blank_words(self.command.arguments);
        match words.as_slice() {
            [image] => Ok(Parsed::From { platform, image: image.word(), as_keyword: None, alias: None }),
            [image, as_keyword, alias] if as_keyword.text().eq_ignore_ascii_case("as") => {
                if !is_stage_name(&alias.text().to_lowercase()) {
                    let message = format!("invalid name for build stage: \"{}\"", alias.text());
                    let rule = "name can't start with a number or contain symbols";
                    return Err(Diagnostic::new(alias.span(), format!("{message}, {rule}")));
                }
                let (as_keyword, alias) = (Some(as_keyword.word()), Some(alias.word()));
                Ok(Parsed::From { platform, image: image.word(), as_keyword, alias })
            }
            _ => Err(self.error("FROM requires either one or three arguments").with_hint("FROM image [AS name]")),
        }
    }

    fn volumes(&self) -> Result<Vec<Word>, Diagnostic> {
        let (mut words, _) = self.json_or_words()?;
        if words.is_empty() {
            return Err(self.error("VOLUME requires at least one argument"));
        }
        for word in &mut words {
            word.raw = word.raw.trim().to_owned();
            if word.raw.is_empty() {
                return Err(Diagnostic::new(word.span, "VOLUME specified can not be an empty string"));
            }
        }
        Ok(words)
    }

    fn shell(&self) -> Result<Vec<String>, Diagnostic> {
        match self.command_form(self.command.arguments)? {
            CommandForm::Exec(words) if !words.is_empty() => Ok(words),
            CommandForm::Shell(text) if !text.is_empty() => {
                let error =
                    Diagnostic::new(self.command.arguments.span(), "SHELL requires the arguments to be in JSON form");
                Err(error.with_hint("SHELL [\"/bin/bash\", \"-c\"]"))
            }
            _ => Err(self.error("SHELL requires at least one argument")),
        }
    }

    fn onbuild(&self) -> Result<Onbuild, Diagnostic> {
        let inner = self.command.arguments;
        let keyword = lexical::command(inner, self.escape).keyword;
        match keyword.text().to_ascii_uppercase().as_str() {
            "" => return Err(self.error("ONBUILD requires at least one argument")),
            "ONBUILD" => {
                let message = "Chaining ONBUILD via `ONBUILD ONBUILD` isn't allowed";
                return Err(Diagnostic::new(keyword.span(), message));
            }
            refused @ ("MAINTAINER" | "FROM") => {
                let message = format!("{refused} isn't allowed as an ONBUILD trigger");
                return Err(Diagnostic::new(keyword.span(), message));
            }
            _ => {}
        }
        let mut trigger = inner.text().to_owned();
        let mut span = inner.span();
        for heredoc in &self.heredocs {
            trigger = format!("{trigger}\n{}{}", heredoc.content, heredoc.name);
            span = span.to(heredoc.content_span);
        }
        Ok(Onbuild { trigger, span })
    }

    fn healthcheck(&self) -> Result<Healthcheck, Diagnostic> {
        let flags = Flags::new(&self.command.flags, HEALTHCHECK_FLAGS)?;
        let arguments = self.command.arguments;
        let (form, rest) =
            lexical::first_and_rest(arguments).unwrap_or((arguments, arguments.after(arguments.text().len())));
        match form.text().to_ascii_uppercase().as_str() {
            "" => return Err(self.error("HEALTHCHECK requires at least one argument")),
            "NONE" if !rest.text().is_empty() => {
                return Err(Diagnostic::new(rest.span(), "HEALTHCHECK NONE takes no arguments"));
            }
            "NONE" => {
                return match self.command.flags.first() {
                    Some(flag) => Err(Diagnostic::new(flag.place.span(), "HEALTHCHECK NONE takes no flags")),
                    None => Ok(Healthcheck::None),
                };
            }
            "CMD" => {}
            other => {
                let message = format!("Unknown type \"{other}\" in HEALTHCHECK (try CMD)");
                return Err(Diagnostic::new(form.span(), message));
            }
        }
        let command = self.command_form(rest)?;
        if matches!(&command, CommandForm::Shell(text) if text.is_empty())
            || matches!(&command, CommandForm::Exec(words) if words.is_empty())
        {
            return Err(self.error("Missing command after HEALTHCHECK CMD"));
        }
        Ok(Healthcheck::Check {
            command,
            interval: nanoseconds(&flags, "interval")?,
            timeout: nanoseconds(&flags, "timeout")?,
            start_period: nanoseconds(&flags, "start-period")?,
            start_interval: nanoseconds(&flags, "start-interval")?,
            retries: retries(&flags)?,
        })
    }
}

/// `[a-z][a-z0-9-_.]*`
fn is_stage_name(name: &str) -> bool {
    let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "-_.".contains(c);
    name.starts_with(|c: char| c.is_ascii_lowercase()) && name.chars().all(allowed)
}

/// A flag's duration; 0 when it isn't there.
fn nanoseconds(flags: &Flags, name: &str) -> Result<u64, Diagnostic> {
    let Some(value) = flags.filled(name) else {
        return Ok(0);
    };
    let error = |message: String| Diagnostic::new(value.span, message);
    let parsed = duration::parse(&value.raw).ok_or_else(|| {
        error(format!("invalid duration \"{}\"", value.raw)).with_hint("write `30s`, `1m30s` or `500ms`")
    })?;
    if parsed != 0 && parsed < MINIMUM_DURATION {
        return Err(error(format!("Interval \"{name}\" cannot be less than 1ms")));
    }
    Ok(parsed.unsigned_abs())
}

fn retries(flags: &Flags) -> Result<u32, Diagnostic> {
    let Some(value) = flags.filled("retries") else {
        return Ok(0);
    };
    let error = |message: String| Diagnostic::new(value.span, message);
    let parsed: i32 = value.raw.parse().map_err(|_| error(format!("invalid number \"{}\" of --retries", value.raw)))?;
    u32::try_from(parsed).map_err(|_| error(format!("--retries cannot be negative ({parsed})")))
}
