//! Landlock rulesets.
