//! Why a component could not be built.

use std::path::{Path, PathBuf};

/// Why a component could not be built. Shown in the output of `cargo build`.
#[derive(Debug)]
pub enum Error {
    /// Called outside a build script: the variable is missing.
    NotABuildScript(&'static str),
    /// No `Cargo.lock` in or above the folder.
    NoWorkspace(PathBuf),
    /// A file or program could not be used.
    Io(PathBuf, std::io::Error),
    /// `STEPRUN_WASM_TOOLCHAIN` has a value that means nothing.
    UnknownChoice(String),
    /// No toolchain with the target.
    NoToolchain {
        /// The target's triple.
        target: &'static str,
        /// What was tried and how it failed.
        tried: Vec<String>,
    },
    /// The package does not compile.
    Compile {
        /// The package.
        package: String,
        /// What cargo said.
        output: String,
    },
    /// The module is no valid component.
    Encode {
        /// The package.
        package: String,
        /// What `wit-component` said.
        reason: String,
    },
}

impl Error {
    pub(crate) fn io(path: &Path, error: std::io::Error) -> Self {
        Self::Io(path.to_owned(), error)
    }
}

impl std::fmt::Display for Error {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::NotABuildScript(name) => write!(f, "`{name}` is not set: components are built from build scripts"),
            Self::NoWorkspace(from) => write!(f, "no workspace with a Cargo.lock above {}", from.display()),
            Self::Io(path, error) => write!(f, "{}: {error}", path.display()),
            Self::UnknownChoice(value) => {
                write!(
                    f,
                    "STEPRUN_WASM_TOOLCHAIN is `{value}`; it may be `auto`, `rustup`, `distribution` or the path of a rustc"
                )
            }
            Self::NoToolchain { target, tried } => {
                writeln!(f, "no Rust compiler with the target {target}")?;
                tried.iter().try_for_each(|attempt| writeln!(f, "  tried: {attempt}"))?;
                write!(f, "  to do: `rustup target add {target}`, or set STEPRUN_WASM_TOOLCHAIN to a rustc that has it")
            }
            Self::Compile { package, output } => write!(f, "{package} does not compile:\n{output}"),
            Self::Encode { package, reason } => write!(f, "{package} makes no valid component: {reason}"),
        }
    }
}

impl std::error::Error for Error {}
