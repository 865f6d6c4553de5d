//! Program and arguments of a RUN.

use steprun_dockerfile::instruction::Script;

/// Where a script with a `#!` line is seen, as in BuildKit.
pub(super) const SCRIPTS: &str = "/dev/pipes";

/// A file that the Dockerfile has the content of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ScriptFile {
    /// In [`SCRIPTS`].
    pub(super) name: String,
    /// Starts with `#!`.
    pub(super) content: String,
}

/// What is run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Command {
    /// As the kernel gets them; nothing in them is expanded.
    pub(super) arguments: Vec<String>,
    /// A script that must be mounted for it.
    pub(super) file: Option<ScriptFile>,
}

impl Command {
    /// A script with the shell of its stage. The shell also gets the path of a script file, so that a SHELL that sets something up does so.
    pub(super) fn new(script: Script, shell: Vec<String>) -> Self {
        let with_shell = |text| shell.into_iter().chain([text]).collect();
        match script {
            Script::Exec(arguments) => Self { arguments, file: None },
            Script::Shell(text) => Self { arguments: with_shell(text), file: None },
            Script::File { name, content } => {
                Self { arguments: with_shell(format!("{SCRIPTS}/{name}")), file: Some(ScriptFile { name, content }) }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_56_57_79_arguments() {
        let shell = || vec!["/bin/sh".to_owned(), "-c".to_owned()];
        for (script, arguments) in [
            (Script::Exec(vec!["a".into(), "$b".into()]), vec!["a", "$b"]),
            (Script::Exec(Vec::new()), vec![]),
            (Script::Shell("echo $x".into()), vec!["/bin/sh", "-c", "echo $x"]),
            (Script::File { name: "E".into(), content: "#!/x".into() }, vec!["/bin/sh", "-c", "/dev/pipes/E"]),
        ] {
            assert_eq!(Command::new(script, shell()).arguments, arguments);
        }
    }
}
