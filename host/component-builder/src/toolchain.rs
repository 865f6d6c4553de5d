//! Finds a Rust compiler that has a wasm target.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::{Error, Target};

/// Makes the fall-back toolchain; see its first lines.
const DISTRIBUTION_SCRIPT: &str = include_str!("../wasm-toolchain.sh");

/// Where the compiler comes from: the environment variable `STEPRUN_WASM_TOOLCHAIN`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Choice {
    /// The first that works: the toolchain as it is, rustup's target, a distribution's compiler.
    Auto,
    /// The toolchain that builds the host, after `rustup target add` where needed.
    Rustup,
    /// A distribution's compiler, even where the toolchain has the target.
    Distribution,
    /// This compiler.
    Compiler(PathBuf),
}

impl Choice {
    fn from_environment() -> Result<Self, Error> {
        match std::env::var("STEPRUN_WASM_TOOLCHAIN").unwrap_or_default().as_str() {
            "" | "auto" => Ok(Self::Auto),
            "rustup" => Ok(Self::Rustup),
            "distribution" => Ok(Self::Distribution),
            path if path.contains('/') => Ok(Self::Compiler(path.into())),
            other => Err(Error::UnknownChoice(other.to_owned())),
        }
    }
}

/// The compiler to use, or none for the one that cargo takes by itself.
pub(crate) fn find(target: Target, cache: &Path) -> Result<Option<PathBuf>, Error> {
    let choice = Choice::from_environment()?;
    let mut tried = Vec::new();
    if let Choice::Compiler(path) = choice {
        return Ok(Some(path));
    }
    if choice != Choice::Distribution {
        match own_toolchain(target) {
            Ok(()) => return Ok(None),
            Err(reason) => tried.push(reason),
        }
    }
    if choice != Choice::Rustup {
        match distribution(cache)? {
            Ok(rustc) => return Ok(Some(rustc)),
            Err(reason) => tried.push(reason),
        }
    }
    Err(Error::NoToolchain { target: target.triple(), tried })
}

/// Whether the toolchain of this build has the target, or gets it from rustup within a minute.
fn own_toolchain(target: Target) -> Result<(), String> {
    if has_target(target) {
        return Ok(());
    }
    // A closed network may let the request hang, so it has a limit.
    let added =
        Command::new("timeout").args(["60", "rustup", "target", "add", target.triple()]).stdout(Stdio::null()).output();
    match added {
        Ok(output) if output.status.success() && has_target(target) => Ok(()),
        Ok(output) => {
            let said = String::from_utf8_lossy(&output.stderr);
            Err(format!("rustup target add: {}", said.lines().last().unwrap_or("no answer in 60 seconds")))
        }
        Err(error) => Err(format!("rustup target add: {error}")),
    }
}

fn has_target(target: Target) -> bool {
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let Ok(output) = Command::new(rustc).args(["--print", "target-libdir", "--target", target.triple()]).output()
    else {
        return false;
    };
    let folder = PathBuf::from(String::from_utf8_lossy(&output.stdout).trim());
    output.status.success() && fs::read_dir(folder).is_ok_and(|mut entries| entries.next().is_some())
}

/// A distribution's compiler in the cache, fetched at the first call.
fn distribution(cache: &Path) -> Result<Result<PathBuf, String>, Error> {
    let prefix = cache.join("toolchain");
    fs::create_dir_all(&prefix).map_err(|e| Error::io(&prefix, e))?;
    // Several build scripts may run side by side; one of them fetches, the others wait.
    let lock_path = cache.join("toolchain.lock");
    let lock = File::create(&lock_path).map_err(|e| Error::io(&lock_path, e))?;
    lock.lock().map_err(|e| Error::io(&lock_path, e))?;
    let rustc = prefix.join("bin/rustc");
    if prefix.join("complete").is_file() {
        return Ok(Ok(rustc));
    }
    let output = Command::new("sh")
        .args(["-c", DISTRIBUTION_SCRIPT, "wasm-toolchain.sh"])
        .arg(&prefix)
        .output()
        .map_err(|e| Error::io(Path::new("sh"), e))?;
    if output.status.success() {
        return Ok(Ok(rustc));
    }
    let said = String::from_utf8_lossy(&output.stderr);
    Ok(Err(format!("a distribution's compiler: {}", said.lines().last().unwrap_or("failed"))))
}
