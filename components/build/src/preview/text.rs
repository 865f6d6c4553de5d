//! For a terminal.

use std::fmt::Write as _;

use super::{InstructionPreview, PlatformPreview, Preview, StagePreview, Variable};

/// Characters of an instruction that are shown at most.
const WIDTH: usize = 100;

pub(super) fn print(preview: &Preview) -> String {
    let mut out = String::new();
    for platform in &preview.platforms {
        print_platform(&mut out, &preview.dockerfile, platform);
    }
    if !preview.variables.is_empty() {
        out.push_str("arguments\n");
        preview.variables.iter().for_each(|variable| print_variable(&mut out, variable));
        out.push('\n');
    }
    out.push_str("needs\n");
    for need in &preview.needs {
        let flag = need.flag.as_ref().map(|flag| format!(" ({flag})")).unwrap_or_default();
        let _ = writeln!(out, "  {:<14} {}{flag}", need.capability, need.subject);
    }
    out
}

fn print_platform(out: &mut String, dockerfile: &str, platform: &PlatformPreview) {
    let PlatformPreview { platform, target, stages, unneeded } = platform;
    let _ = writeln!(out, "{dockerfile} for {platform}: {target}\n");
    for stage in stages {
        print_stage(out, stage);
    }
    if !unneeded.is_empty() {
        let _ = writeln!(out, "not needed: {}\n", unneeded.join(", "));
    }
}

fn print_stage(out: &mut String, stage: &StagePreview) {
    let description = stage.description.as_ref().map(|text| format!(": {text}")).unwrap_or_default();
    let shared = if stage.shared { ", once for all platforms" } else { "" };
    let _ = writeln!(out, "stage {}{description}{shared}", stage.name);
    let image =
        stage.image.as_ref().map(|image| format!(" ({}, {})", image.platform, image.digest)).unwrap_or_default();
    let _ = writeln!(out, "  from {}{image}", stage.base);
    for instruction in &stage.instructions {
        print_instruction(out, instruction);
    }
    out.push('\n');
}

fn print_instruction(out: &mut String, InstructionPreview { line, text, takes, cached }: &InstructionPreview) {
    let shown: String = text.chars().take(WIDTH).collect();
    let cut = if shown.len() < text.len() { "..." } else { "" };
    let takes = if takes.is_empty() { String::new() } else { format!("  <- {}", takes.join(", ")) };
    let cached = if *cached == Some(true) { "  [cached]" } else { "" };
    let _ = writeln!(out, "  {line:>4} | {shown}{cut}{takes}{cached}");
}

fn print_variable(out: &mut String, variable: &Variable) {
    let Variable { name, default, given, description } = variable;
    let value = match (given, default) {
        (Some(given), _) => format!("={given} (given)"),
        (None, Some(default)) => format!("={default}"),
        (None, None) => String::new(),
    };
    let description = description.as_ref().map(|text| format!(": {text}")).unwrap_or_default();
    let _ = writeln!(out, "  {name}{value}{description}");
}
