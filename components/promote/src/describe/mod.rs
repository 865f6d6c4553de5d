//! The command line: crane's names and flags, typed.

mod change;
mod move_around;
mod query;

use steprun_ports::{Arity, Command, Description, FileAccess, Parameter, RegistryAccess, ValueKind};

const ALL: &str = "all";

/// How queries print their results.
const FORMATS: ValueKind = ValueKind::Choice(&["text", "json"]);

/// The step's commands.
pub fn describe() -> Description {
    let mut commands: Vec<Command> =
        [change::commands(), move_around::commands(), query::commands()].into_iter().flatten().collect();
    commands.sort_by_key(|command| command.name);
    commands.iter_mut().for_each(add_selection);
    commands.iter_mut().for_each(add_global);
    Description {
        name: "promote",
        version: env!("CARGO_PKG_VERSION"),
        summary: "Copies, tags, inspects and changes images in registries",
        commands,
    }
}

/// Where a result can be had as JSON, a part of it can.
fn add_selection(command: &mut Command) {
    let parameters = &mut command.parameters;
    if let Some(format) = parameters.iter().position(|own| own.value == FORMATS) {
        let summary =
            "Print this part of the JSON, named by a pointer (RFC 6901) as `/config/Env/0`: texts without quotes";
        parameters.insert(format + 1, text("select", "POINTER", summary));
    }
}

/// Flags that crane has for all commands, where they change nothing: scripts give them to each.
fn add_global(command: &mut Command) {
    let global = [
        platform("No effect here: for scripts that give it to each command"),
        Parameter::flag("allow-nondistributable-artifacts", "No effect here: for scripts that give it to each command"),
    ];
    let parameters = &mut command.parameters;
    for parameter in global {
        if !parameters.iter().any(|own| own.name == parameter.name) {
            parameters.push(parameter);
        }
    }
}

fn command(name: &'static str, summary: &'static str, details: &'static str, parameters: Vec<Parameter>) -> Command {
    Command { name, aliases: &[], summary, details, parameters }
}

const fn image(
    name: &'static str,
    access: RegistryAccess,
    value_name: &'static str,
    summary: &'static str,
) -> Parameter {
    Parameter::operand(name, ValueKind::Place(access), value_name, summary)
}

const fn source() -> Parameter {
    image("image", RegistryAccess::Pull, "IMAGE", "Image to read")
}

const fn repository(
    name: &'static str,
    access: RegistryAccess,
    value_name: &'static str,
    summary: &'static str,
) -> Parameter {
    Parameter::operand(name, ValueKind::Repository(access), value_name, summary)
}

const fn platform(summary: &'static str) -> Parameter {
    Parameter::option("platform", ValueKind::Text, "OS/ARCH[/VARIANT][:OSVERSION]", summary).default(ALL)
}

const fn platforms(summary: &'static str) -> Parameter {
    platform(summary).repeated()
}

const fn text(name: &'static str, value_name: &'static str, summary: &'static str) -> Parameter {
    Parameter::option(name, ValueKind::Text, value_name, summary)
}

/// Where what is read goes.
const fn file() -> Parameter {
    let file = ValueKind::File(FileAccess::Write);
    Parameter::operand("file", file, "FILE", "Where to write, `-` for standard output")
        .arity(Arity::Optional)
        .default("-")
}

/// `-t`: where a changed image goes, if not to where it was read.
const fn tag() -> Parameter {
    Parameter::option(
        "tag",
        ValueKind::Place(RegistryAccess::Push),
        "IMAGE",
        "Name of the result; that of the image which was read if absent",
    )
    .short('t')
}

/// `-o` of commands that make an image.
const fn output() -> Parameter {
    Parameter::option(
        "output",
        ValueKind::File(FileAccess::Write),
        "FILE",
        "Write the result as an archive for `docker load` instead of pushing it: one image, linux/amd64 by default",
    )
    .short('o')
}

const fn foreign() -> Parameter {
    Parameter::flag(
        "allow-nondistributable-artifacts",
        "Also push layers whose media type says that they may not be distributed",
    )
}

const fn jobs() -> Parameter {
    Parameter::option("jobs", ValueKind::Integer, "N", "How many transfers run at the same time")
        .short('j')
        .default("4")
}

/// `--format` of queries.
const fn format(summary: &'static str) -> Parameter {
    Parameter::option("format", FORMATS, "FORMAT", summary).default("text")
}

const fn repeated_required(parameter: Parameter) -> Parameter {
    parameter.arity(Arity::RepeatedRequired)
}
