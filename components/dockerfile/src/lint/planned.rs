//! Findings that only the plan of a build gives: it knows the context and the images.

use super::{Lint, Rule};
use crate::instruction::Kind;
use crate::span::Span;

impl Lint {
    /// A source of COPY or ADD that the ignore file leaves out. `path` is expanded and has no `/` at its start.
    pub fn copy_ignored_file(span: Span, kind: &Kind, path: &str) -> Self {
        let verb = if matches!(kind, Kind::Add(_)) { "Add" } else { "Copy" };
        let message = format!("Attempting to {verb} file {path:?} that is excluded by .dockerignore");
        Self { rule: Rule::CopyIgnoredFile, span, message }
    }

    /// A base image that has another platform than the one asked for, each as `os/architecture[/variant]`.
    pub fn invalid_base_image_platform(span: Span, image: &str, expected: &str, actual: &str) -> Self {
        let message =
            format!("Base image {image} was pulled with platform {actual:?}, expected {expected:?} for current build");
        Self { rule: Rule::InvalidBaseImagePlatform, span, message }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn row_116_a_source_that_is_ignored() {
        let add = crate::parse(&crate::Source::new("x", "FROM a\nADD b c\nCOPY b c")).unwrap();
        let messages: Vec<String> = add.stages[0]
            .instructions
            .iter()
            .map(|one| Lint::copy_ignored_file(one.span, &one.kind, "b").message)
            .collect();
        let expected =
            ["Add", "Copy"].map(|verb| format!("Attempting to {verb} file \"b\" that is excluded by .dockerignore"));
        assert_eq!(messages, expected);
    }

    #[test]
    fn row_53_a_base_of_another_platform() {
        let lint = Lint::invalid_base_image_platform(Span::default(), "a:1", "linux/amd64", "linux/arm64");
        let expected =
            "Base image a:1 was pulled with platform \"linux/arm64\", expected \"linux/amd64\" for current build";
        assert_eq!(lint.message, expected);
    }
}
