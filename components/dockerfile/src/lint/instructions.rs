//! Rules about instructions.

use super::{Findings, Rule};
use crate::instruction::{Arg, CommandForm, Dockerfile, Instruction, KeyValue, Kind, Stage};
use crate::span::{Span, Word};

/// Words that tell a secret when a name starts or ends with them, or has them between underscores.
const SECRETS: [&str; 10] =
    ["apikey", "auth", "credential", "credentials", "key", "password", "pword", "passwd", "secret", "token"];
/// Words that tell that it is none.
const NO_SECRETS: [&str; 3] = ["public", "file", "version"];

pub(super) fn check(dockerfile: &Dockerfile, findings: &mut Findings<'_>) {
    casing(dockerfile, findings);
    // What a stage starts with, for the stages that start from it.
    let mut inherited: Vec<Inherited> = Vec::new();
    for stage in &dockerfile.stages {
        let image = stage.from.image.raw.to_lowercase();
        let earlier = dockerfile.stages.iter().zip(&inherited);
        let base = earlier.rev().find(|(other, _)| other.name.as_ref() == Some(&image));
        let mut state = base.map_or_else(Inherited::default, |(_, state)| *state);
        once(stage, findings);
        for instruction in &stage.instructions {
            single(instruction, &mut state, findings);
        }
        inherited.push(state);
    }
}

/// What is known of a stage's config.
#[derive(Debug, Clone, Copy, Default)]
struct Inherited {
    shell: bool,
    workdir: bool,
}

/// All keywords have the case that most have.
fn casing(dockerfile: &Dockerfile, findings: &mut Findings<'_>) {
    let of = |stage: &Stage| {
        let inner: Vec<Word> = stage.instructions.iter().map(|instruction| instruction.keyword.clone()).collect();
        std::iter::once(stage.from.keyword.clone()).chain(inner)
    };
    let keywords: Vec<Word> = dockerfile.stages.iter().flat_map(of).collect();
    let lower = keywords.iter().filter(|word| word.raw == word.raw.to_lowercase()).count();
    let upper = keywords.iter().filter(|word| word.raw == word.raw.to_uppercase()).count();
    let (name, wanted): (_, fn(&str) -> String) =
        if lower > upper { ("lowercase", |raw| raw.to_lowercase()) } else { ("uppercase", |raw| raw.to_uppercase()) };
    for word in keywords.iter().filter(|word| word.raw != wanted(&word.raw)) {
        let message = format!("Command '{}' should match the case of the command majority ({name})", word.raw);
        findings.add(Rule::ConsistentInstructionCasing, word.span, message);
    }
}

/// Of these instructions only the last one in a stage counts.
fn once(stage: &Stage, findings: &mut Findings<'_>) {
    for name in ["CMD", "ENTRYPOINT", "HEALTHCHECK"] {
        let same: Vec<&Instruction> = stage.instructions.iter().filter(|one| one.kind.name() == name).collect();
        for lost in same.iter().rev().skip(1) {
            let message = format!(
                "Multiple {name} instructions should not be used in the same stage because only the last one will be used"
            );
            findings.add(Rule::MultipleInstructionsDisallowed, lost.span, message);
        }
    }
}

fn single(instruction: &Instruction, state: &mut Inherited, findings: &mut Findings<'_>) {
    let span = instruction.span;
    match &instruction.kind {
        Kind::Maintainer(_) => {
            let message = "Maintainer instruction is deprecated in favor of using label";
            findings.add(Rule::MaintainerDeprecated, span, message);
        }
        Kind::Shell(_) => state.shell = true,
        Kind::Cmd(CommandForm::Shell(_)) | Kind::Entrypoint(CommandForm::Shell(_)) if !state.shell => {
            let name = instruction.kind.name();
            let message =
                format!("JSON arguments recommended for {name} to prevent unintended behavior related to OS signals");
            findings.add(Rule::JSONArgsRecommended, span, message);
        }
        Kind::Workdir(path) => {
            workdir(path, *state, findings);
            state.workdir = true;
        }
        Kind::Env(pairs) => {
            legacy(pairs, "ENV", span, findings);
            pairs.iter().for_each(|pair| secret("ENV", &pair.key, findings));
        }
        Kind::Label(pairs) => legacy(pairs, "LABEL", span, findings),
        Kind::Arg(args) => args.iter().for_each(|Arg { name, .. }| secret("ARG", name, findings)),
        Kind::Expose(ports) => ports.iter().for_each(|port| expose(port, findings)),
        _ => {}
    }
}

fn workdir(path: &Word, state: Inherited, findings: &mut Findings<'_>) {
    let text = path.raw.trim_start_matches(['"', '\'']);
    let drive = text.chars().nth(1) == Some(':');
    // A variable can hold an absolute path.
    if !state.workdir && !text.starts_with(['/', '\\', '$']) && !drive {
        let message =
            format!("Relative workdir \"{}\" can have unexpected results if the base image changes", path.raw);
        findings.add(Rule::WorkdirRelativePath, path.span, message);
    }
}

fn legacy(pairs: &[KeyValue], name: &str, span: Span, findings: &mut Findings<'_>) {
    if pairs.iter().any(|pair| pair.legacy) {
        let message = format!("\"{name} key=value\" should be used instead of legacy \"{name} key value\" format");
        findings.add(Rule::LegacyKeyValueFormat, span, message);
    }
}

fn secret(instruction: &str, key: &Word, findings: &mut Findings<'_>) {
    let name = key.raw.to_lowercase();
    let has = |words: &[&str]| name.split('_').any(|part| words.contains(&part));
    if has(&SECRETS) && !has(&NO_SECRETS) {
        let message = format!("Do not use ARG or ENV instructions for sensitive data ({instruction} \"{}\")", key.raw);
        findings.add(Rule::SecretsUsedInArgOrEnv, key.span, message);
    }
}

fn expose(port: &Word, findings: &mut Findings<'_>) {
    if port.raw.contains('$') {
        return;
    }
    let (number, protocol) = port.raw.split_once('/').unwrap_or((&port.raw, ""));
    if number.contains(':') {
        let message =
            format!("EXPOSE instruction should not define an IP address or host-port mapping, found '{}'", port.raw);
        findings.add(Rule::ExposeInvalidFormat, port.span, message);
    }
    if protocol != protocol.to_lowercase() {
        let message = format!("Defined protocol '{}' in EXPOSE instruction should be lowercase", port.raw);
        findings.add(Rule::ExposeProtoCasing, port.span, message);
    }
}
