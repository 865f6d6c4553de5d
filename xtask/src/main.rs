//! Tasks of the workspace that cargo has no word for: `cargo xtask demo|test|docs|bench|dist`.

mod demo;
mod dist;
mod dockerfile_table;
mod docs;
mod test;

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

/// Why a task failed, as a sentence.
type Result<T = ()> = std::result::Result<T, String>;

fn main() -> ExitCode {
    let mut words = std::env::args().skip(1);
    let outcome = match words.next().as_deref() {
        Some("demo") => demo::run(),
        Some("test") => test::run(&words.collect::<Vec<_>>()),
        Some("docs") => docs::run(&words.collect::<Vec<_>>()),
        Some("bench") => bench(&words.collect::<Vec<_>>()),
        Some("dist") => dist::run(),
        other => {
            let asked = other.unwrap_or("nothing");
            Err(format!(
                "asked for `{asked}`; there are: demo, test [NEXTEST ARGS], docs [--check], bench [--chart] [CASE...|all], dist"
            ))
        }
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(reason) => {
            eprintln!("error: {reason}");
            ExitCode::FAILURE
        }
    }
}

fn bench(words: &[String]) -> Result {
    build()?;
    call(cargo().args(["run", "--release", "--quiet", "--package", "steprun-benches", "--"]).args(words))
}

/// The workspace's folder.
fn root() -> PathBuf {
    let own = Path::new(env!("CARGO_MANIFEST_DIR"));
    own.parent().unwrap_or(own).to_owned()
}

/// The folder that binaries are built into.
fn target() -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), PathBuf::from)
}

/// The binary under test.
fn steprun() -> PathBuf {
    target().join("release/steprun")
}

fn cargo() -> Command {
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.current_dir(root());
    cargo
}

/// Compiles the host with its components.
fn build() -> Result {
    call(cargo().args(["build", "--release", "--package", "steprun"]))
}

/// Runs a command to its end.
fn call(command: &mut Command) -> Result {
    let shown = format!("{command:?}");
    let status = command.status().map_err(|e| format!("{shown}: {e}"))?;
    if status.success() { Ok(()) } else { Err(format!("{shown}: {status}")) }
}
