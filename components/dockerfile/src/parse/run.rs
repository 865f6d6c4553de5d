//! RUN.

use super::kind::Request;
use crate::diagnostic::Diagnostic;
use crate::flags::{Flags, Known, Takes};
use crate::heredoc;
use crate::instruction::{CommandForm, Device, Network, Run, Script, Security};
use crate::lexical::{boolean, comma_separated};
use crate::mount::MountSpec;
use crate::span::Word;
use crate::suggest;

const RUN_FLAGS: Known =
    &[("mount", Takes::Many), ("network", Takes::One), ("security", Takes::One), ("device", Takes::Many)];

impl Request<'_> {
    pub(super) fn run(&self) -> Result<Run, Diagnostic> {
        let flags = Flags::new(&self.command.flags, RUN_FLAGS)?;
        let mount = |value| MountSpec::parse(value, self.escape, self.source);
        Ok(Run {
            command: self.command_form(self.command.arguments)?,
            heredocs: self.heredocs.clone(),
            mounts: flags.all("mount").map(mount).collect::<Result<_, _>>()?,
            network: network(flags.get("network"))?,
            security: security(flags.get("security"))?,
            devices: flags.all("device").map(device).collect::<Result<_, _>>()?,
        })
    }
}

fn network(value: Option<&Word>) -> Result<Network, Diagnostic> {
    let Some(value) = value else {
        return Ok(Network::Default);
    };
    match value.raw.as_str() {
        "default" => Ok(Network::Default),
        "none" => Ok(Network::None),
        "host" => Ok(Network::Host),
        other => Err(invalid(value, format!("invalid network mode \"{other}\""), &["default", "none", "host"])),
    }
}

fn security(value: Option<&Word>) -> Result<Security, Diagnostic> {
    let Some(value) = value else {
        return Ok(Security::Sandbox);
    };
    match value.raw.as_str() {
        "sandbox" => Ok(Security::Sandbox),
        "insecure" => Ok(Security::Insecure),
        other => Err(invalid(value, format!("security \"{other}\" is not valid"), &["sandbox", "insecure"])),
    }
}

fn invalid(value: &Word, message: String, options: &[&str]) -> Diagnostic {
    let mut error = Diagnostic::new(value.span, message);
    error.hint = suggest::hint(&value.raw, options.iter().copied(), "");
    error.hint = error.hint.or_else(|| Some(format!("use one of {}", options.join(", "))));
    error
}

/// `NAME`, `name=NAME`, `required[=BOOL]`, separated by commas (BuildKit: `commands_rundevice.go`).
fn device(value: &Word) -> Result<Device, Diagnostic> {
    let error = |message: String| Diagnostic::new(value.span, message);
    let fields = comma_separated(&value.raw)
        .ok_or_else(|| error("failed to parse csv devices: a quote stands in the middle of a field".to_owned()))?;
    let mut name = String::new();
    let mut required = false;
    for field in &fields {
        let (key, text) = field.split_once('=').map_or((field.as_str(), None), |(key, text)| (key, Some(text)));
        match (key.to_lowercase().as_str(), text) {
            ("required", None) => required = true,
            ("required", Some(text)) => {
                required = boolean(text).ok_or_else(|| error(format!("invalid value for required: {text}")))?;
            }
            ("name", Some(_)) if !name.is_empty() => {
                return Err(error(format!("device name already set to {name}")));
            }
            ("name", Some(text)) => text.clone_into(&mut name),
            // `vendor/class=name` has an `=` of its own.
            _ if name.is_empty() => name.clone_from(field),
            (_, None) => {
                return Err(error(format!("invalid field '{field}' must be a key=value pair")));
            }
            (key, Some(_)) => {
                let mut unknown = error(format!("unexpected key '{key}' in '{field}'"));
                unknown.hint = suggest::hint(key, ["name", "required"], "");
                return Err(unknown);
            }
        }
    }
    if name.is_empty() {
        return Err(error("missing device name".to_owned()));
    }
    Ok(Device { name: Word::new(name, value.span), required, span: value.span })
}

impl Run {
    /// What is to be run, once heredocs are put in their place (BuildKit: `dockerfile2llb/convert.go`, `dispatchRun`).
    ///
    /// A heredoc that is the whole command is a script: of the shell, or of what its `#!` names. Any other heredoc is left to
    /// the shell, which gets it as it was written. BuildKit doesn't expand variables in either.
    pub fn script(&self) -> Script {
        let line = match &self.command {
            CommandForm::Exec(words) => return Script::Exec(words.clone()),
            CommandForm::Shell(line) => line,
        };
        let whole = matches!(heredoc::opening(line), Ok(Some(_)));
        match self.heredocs.first() {
            Some(first) if whole && first.content.starts_with("#!") => {
                Script::File { name: first.name.clone(), content: first.chomped() }
            }
            Some(first) if whole => Script::Shell(first.chomped()),
            _ => {
                let with =
                    |text: String, body: &crate::instruction::Heredoc| format!("{text}\n{}{}", body.content, body.name);
                Script::Shell(self.heredocs.iter().fold(line.clone(), with))
            }
        }
    }
}
