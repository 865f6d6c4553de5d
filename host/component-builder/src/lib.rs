//! Compiles component crates of this workspace from source, for build scripts.
//!
//! A build script of an ordinary `cargo build` calls [`Builder::build`]: a second cargo compiles the crate for a wasm target, in a
//! folder of its own inside the same target directory, and `wit-component` makes a component of the module. Where the Rust
//! toolchain lacks the wasm target and rustup can't deliver it, [`toolchain`] fetches a distribution's compiler into the target
//! directory.

mod error;
mod toolchain;

pub use error::Error;
pub use toolchain::Choice;

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// What a component is compiled for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Target {
    /// `wasm32-unknown-unknown`: imports exactly the interfaces of its world. Its module becomes a component here.
    Unknown,
    /// `wasm32-wasip2`: a plain WASI command; the linker makes the component.
    WasiP2,
}

impl Target {
    /// The target's triple.
    pub fn triple(self) -> &'static str {
        match self {
            Self::Unknown => "wasm32-unknown-unknown",
            Self::WasiP2 => "wasm32-wasip2",
        }
    }
}

/// Compiles components of one workspace.
#[derive(Debug)]
pub struct Builder {
    workspace: PathBuf,
    target_dir: PathBuf,
}

impl Builder {
    /// A builder for build scripts: the workspace is the nearest folder above the script's crate that has a `Cargo.lock`, and the
    /// components go to `wasm/` in the target directory that the script's own output lies in.
    pub fn from_build_script() -> Result<Self, Error> {
        let manifest_dir = PathBuf::from(variable("CARGO_MANIFEST_DIR")?);
        let workspace = manifest_dir
            .ancestors()
            .find(|folder| folder.join("Cargo.lock").is_file())
            .ok_or_else(|| Error::NoWorkspace(manifest_dir.clone()))?;
        // OUT_DIR is TARGET/PROFILE/build/CRATE-HASH/out.
        let out_dir = PathBuf::from(variable("OUT_DIR")?);
        let target = out_dir.ancestors().nth(4).ok_or_else(|| Error::NoWorkspace(out_dir.clone()))?;
        Ok(Self { workspace: workspace.to_owned(), target_dir: target.join("wasm") })
    }

    /// The workspace's folder.
    pub fn workspace(&self) -> &Path {
        &self.workspace
    }

    /// Compiles a package of the workspace and gives the component's bytes.
    ///
    /// # Errors
    /// If there is no toolchain with the target, the package does not compile, or its module is no valid component.
    pub fn build(&self, package: &str, target: Target) -> Result<Vec<u8>, Error> {
        fs::create_dir_all(&self.target_dir).map_err(|e| Error::io(&self.target_dir, e))?;
        let rustc = toolchain::find(target, &self.target_dir)?;
        self.cargo(package, target, rustc.as_deref())?;
        let module = self.artifact(package, target);
        let bytes = fs::read(&module).map_err(|e| Error::io(&module, e))?;
        match target {
            Target::Unknown => encode(package, &bytes),
            Target::WasiP2 => Ok(bytes),
        }
    }

    fn artifact(&self, package: &str, target: Target) -> PathBuf {
        let name = match target {
            Target::Unknown => package.replace('-', "_"),
            Target::WasiP2 => package.to_owned(),
        };
        self.target_dir.join(target.triple()).join("component").join(name).with_extension("wasm")
    }

    fn cargo(&self, package: &str, target: Target, rustc: Option<&Path>) -> Result<(), Error> {
        let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| OsString::from("cargo")));
        cargo
            .args(["build", "--locked", "--profile", "component", "--package", package, "--target", target.triple()])
            .arg("--target-dir")
            .arg(&self.target_dir)
            .current_dir(&self.workspace)
            // A build script's standard output is for cargo's directives.
            .stdout(Stdio::null());
        // What the outer cargo set for this build script (flags, wrappers, target settings) is not meant for wasm.
        for (name, _) in std::env::vars_os() {
            if is_outer_setting(&name.to_string_lossy()) {
                cargo.env_remove(name);
            }
        }
        if let Some(rustc) = rustc {
            cargo.env("RUSTC", rustc);
        }
        let output = cargo.stderr(Stdio::piped()).output().map_err(|e| Error::io(Path::new("cargo"), e))?;
        if output.status.success() {
            Ok(())
        } else {
            Err(Error::Compile {
                package: package.to_owned(),
                output: String::from_utf8_lossy(&output.stderr).into_owned(),
            })
        }
    }
}

/// Makes a component of a module that `wit-bindgen` put its world into.
fn encode(package: &str, module: &[u8]) -> Result<Vec<u8>, Error> {
    wit_component::ComponentEncoder::default()
        .validate(true)
        .module(module)
        .and_then(|mut encoder| encoder.encode())
        .map_err(|e| Error::Encode { package: package.to_owned(), reason: format!("{e:#}") })
}

fn is_outer_setting(name: &str) -> bool {
    const KEPT: [&str; 5] = ["CARGO_HOME", "CARGO_NET_", "CARGO_HTTP_", "CARGO_REGISTR", "CARGO_TERM_"];
    let outer = ["CARGO", "RUSTC", "RUSTDOC", "RUSTFLAGS", "DEP_"].iter().any(|prefix| name.starts_with(prefix))
        || ["TARGET", "HOST", "PROFILE", "OUT_DIR", "OPT_LEVEL", "DEBUG", "NUM_JOBS"].contains(&name);
    outer && !KEPT.iter().any(|prefix| name.starts_with(prefix))
}

fn variable(name: &'static str) -> Result<OsString, Error> {
    std::env::var_os(name).ok_or(Error::NotABuildScript(name))
}

#[cfg(test)]
mod tests {
    use super::is_outer_setting;

    #[test]
    fn settings_of_the_outer_cargo_do_not_reach_the_inner_one() {
        for name in [
            "RUSTFLAGS",
            "CARGO_ENCODED_RUSTFLAGS",
            "RUSTC_WORKSPACE_WRAPPER",
            "CARGO_CFG_TARGET_OS",
            "TARGET",
            "CARGO_BUILD_TARGET",
        ] {
            assert!(is_outer_setting(name), "{name}");
        }
        for name in ["PATH", "CARGO_HOME", "CARGO_NET_OFFLINE", "CARGO_REGISTRIES_X_INDEX", "RUSTUP_TOOLCHAIN", "HOME"]
        {
            assert!(!is_outer_setting(name), "{name}");
        }
    }
}
