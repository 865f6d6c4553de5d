//! What this builder accepts so that pipelines that were written for Kaniko go on as they are.

use steprun_ports::{Host, Level, Parameter, ValueKind};

/// Options of Kaniko that this builder has no need of. They are accepted, so that pipelines can be taken over as they are, and a
/// note says that they change nothing.
pub(crate) const OPTIONS: &[Parameter] = &[
    kaniko_flag("cache-copy-layers"),
    kaniko_flag("cleanup"),
    kaniko_flag("force"),
    kaniko_flag("force-build-metadata"),
    kaniko_flag("pre-cleanup"),
    kaniko_flag("preserve-context"),
    kaniko_flag("skip-unused-stages"),
    kaniko_flag("use-new-run"),
    kaniko_option("cache-dir", ValueKind::Text, "DIR"),
    kaniko_option("compressed-caching", ValueKind::Choice(&["true", "false"]), "BOOL"),
    kaniko_option("ignore-path", ValueKind::Text, "PATH").repeated(),
    kaniko_option("ignore-var-run", ValueKind::Choice(&["true", "false"]), "BOOL"),
    kaniko_option("image-download-retry", ValueKind::Integer, "N"),
    kaniko_option("image-fs-extract-retry", ValueKind::Integer, "N"),
    kaniko_option("kaniko-dir", ValueKind::Text, "DIR"),
    kaniko_option("snapshot-mode", ValueKind::Choice(&["full", "redo", "time"]), "MODE").aliases(&["snapshotMode"]),
];

const fn kaniko_flag(name: &'static str) -> Parameter {
    Parameter::flag(name, "Accepted for Kaniko's sake; has no effect")
}

const fn kaniko_option(name: &'static str, value: ValueKind, value_name: &'static str) -> Parameter {
    Parameter::option(name, value, value_name, "Accepted for Kaniko's sake; has no effect")
}

/// Says of the options that were given that they change nothing.
pub(crate) fn note<H: Host>(host: &H) {
    for parameter in OPTIONS {
        let given = match parameter.value {
            ValueKind::Flag => host.flag(parameter.name),
            ValueKind::Integer => !host.integers(parameter.name).is_empty(),
            _ => !host.texts(parameter.name).is_empty(),
        };
        if given {
            host.log(
                Level::Warning,
                &format!("`--{}` has no effect: it is accepted for Kaniko's sake", parameter.name),
            );
        }
    }
}
