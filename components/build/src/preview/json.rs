//! For programs.

use serde_json::{Value, json};

use super::{InstructionPreview, PlatformPreview, Preview, StagePreview};

pub(super) fn print(preview: &Preview) -> String {
    let variables = preview.variables.iter().map(|variable| {
        json!({
            "name": variable.name,
            "default": variable.default,
            "value": variable.given,
            "description": variable.description,
        })
    });
    let needs = preview
        .needs
        .iter()
        .map(|need| json!({ "capability": need.capability, "subject": need.subject, "flag": need.flag }));
    let all = json!({
        "dockerfile": preview.dockerfile,
        "platforms": preview.platforms.iter().map(platform).collect::<Vec<_>>(),
        "arguments": variables.collect::<Vec<_>>(),
        "needs": needs.collect::<Vec<_>>(),
    });
    format!("{all:#}\n")
}

fn platform(platform: &PlatformPreview) -> Value {
    json!({
        "platform": platform.platform,
        "target": platform.target,
        "stages": platform.stages.iter().map(stage).collect::<Vec<_>>(),
        "unneeded": platform.unneeded,
    })
}

fn stage(stage: &StagePreview) -> Value {
    let image = stage.image.as_ref().map(|image| json!({ "platform": image.platform, "digest": image.digest }));
    json!({
        "name": stage.name,
        "description": stage.description,
        "base": stage.base,
        "image": image,
        "shared": stage.shared,
        "instructions": stage.instructions.iter().map(instruction).collect::<Vec<_>>(),
    })
}

fn instruction(instruction: &InstructionPreview) -> Value {
    let InstructionPreview { line, text, takes, cached } = instruction;
    json!({ "line": line, "text": text, "takes": takes, "cached": cached })
}
