//! Finds and loads components: built in and compiled ahead of time, or from a file and compiled once.

use std::ffi::OsStr;
use std::fs;
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};

use steprun_bundle::{BUILT_IN, BuiltIn};
use steprun_snapshot::sha256;
use wasmtime::Engine;
use wasmtime::component::Component;

use crate::exit::{Exit, Failure};
use crate::outputs::OutputFileHandle;

/// A loaded component.
pub struct Loaded {
    /// How it was called: `build`, `./lint.wasm`.
    pub name: String,
    /// The component.
    pub component: Component,
    /// Whether it is part of the host.
    pub built_in: bool,
    bytes: Bytes,
}

/// The component as it is shared.
enum Bytes {
    BuiltIn(&'static [u8]),
    File(Vec<u8>),
}

impl Loaded {
    /// The digest of the component: `sha256:...`. Of a built-in one it is that of what `steprun extract` writes.
    pub fn digest(&self) -> String {
        let bytes = match &self.bytes {
            Bytes::BuiltIn(bytes) => bytes,
            Bytes::File(bytes) => bytes.as_slice(),
        };
        sha256(bytes).to_string()
    }
}

/// Loads the built-in step of that name, or the component in that file.
///
/// # Errors
/// If there is neither, or the file is no component.
pub fn load(engine: &Engine, step: &OsStr) -> Result<Loaded, Failure> {
    let name = step.to_string_lossy().into_owned();
    if let Some(built_in) = BUILT_IN.iter().find(|built_in| built_in.name == name) {
        return Ok(Loaded {
            component: load_built_in(engine, built_in)?,
            name,
            built_in: true,
            bytes: Bytes::BuiltIn(built_in.component),
        });
    }
    let path = Path::new(step);
    if !path.is_file() {
        return Err(unknown_step(&name));
    }
    let bytes = fs::read(path).map_err(|e| Failure {
        exit: Exit::Usage,
        ..Failure::io(format_args!("can't read the component `{name}`"), e)
    })?;
    let component = load_foreign(engine, &name, &bytes)?;
    Ok(Loaded { component, name, built_in: false, bytes: Bytes::File(bytes) })
}

/// Writes a built-in step to a file.
///
/// # Errors
/// If there is no such step, or the file can't be written.
pub fn extract(name: &str, file: PathBuf) -> Result<(), Failure> {
    let built_in = BUILT_IN.iter().find(|built_in| built_in.name == name).ok_or_else(|| unknown_step(name))?;
    let shown = file.display().to_string();
    let written = OutputFileHandle::new(file)
        .write_with(|out| out.write_all(built_in.component).map_err(steprun_snapshot::Error::io("write", &shown)));
    written.map_err(|e| Failure::new(Exit::Failed, format!("can't write the step `{name}`")).because(e))
}

fn unknown_step(name: &str) -> Failure {
    let names: Vec<&str> = BUILT_IN
        .iter()
        .map(|built_in| built_in.name)
        .chain(["inspect", "extract", "doctor", "auth", "registry", "store"])
        .collect();
    let close = names.iter().find(|known| strsim::damerau_levenshtein(known, name) <= 2);
    let failure = Failure::usage(format!("there is no step `{name}`: neither built in nor a file"));
    match close {
        Some(known) => failure.hint(format!("did you mean `{known}`?")),
        None => failure
            .hint(format!("built in are {}; a component is named by its path", names[..BUILT_IN.len()].join(" and "))),
    }
}

fn load_built_in(engine: &Engine, built_in: &BuiltIn) -> Result<Component, Failure> {
    // SAFETY: the bytes were made by this build's own build script, with the settings of `steprun_engine`; they are part of the binary, which
    // nobody writes to.
    let loaded = unsafe { Component::deserialize_raw(engine, built_in.compiled.into()) };
    loaded.map_err(|e| {
        Failure::new(Exit::Trap, format!("the built-in step `{}` can't be loaded on this machine", built_in.name))
            .because(e)
    })
}

/// Compiles a foreign component, or takes the machine code of an earlier run from the cache.
fn load_foreign(engine: &Engine, name: &str, bytes: &[u8]) -> Result<Component, Failure> {
    let not_a_component = |error: wasmtime::Error| {
        let failure = Failure::usage(format!("`{name}` is not a WebAssembly component that this host can run"))
            .because(format!("{error:#}"));
        match bytes.starts_with(b"\0asm\x01\0\0\0") {
            true => failure.hint(
                "it is a core module; `wasm-tools component new` makes a component of one that has its world embedded",
            ),
            false => failure,
        }
    };
    let Some(cached) = cache_file(engine, bytes) else {
        return Component::new(engine, bytes).map_err(not_a_component);
    };
    if cached.is_file() && is_private(&cached) {
        // SAFETY: the file lies in a directory that only this user can write to, and was made by this version of the host.
        if let Ok(component) = unsafe { Component::deserialize_file(engine, &cached) } {
            return Ok(component);
        }
    }
    let component = Component::new(engine, bytes).map_err(not_a_component)?;
    // A cache that can't be written costs the next run its time, nothing else.
    if let Ok(compiled) = component.serialize() {
        let _ = write_private(&cached, &compiled);
    }
    Ok(component)
}

/// Where the machine code of a component is kept: by its digest, the host's version, the engine's settings and the machine.
fn cache_file(engine: &Engine, bytes: &[u8]) -> Option<PathBuf> {
    use std::hash::{Hash, Hasher};
    let cache = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from).filter(|path| path.is_absolute());
    let cache = cache
        .or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".cache")))
        .filter(|path| path.is_absolute())?;
    let mut settings = std::hash::DefaultHasher::new();
    engine.precompile_compatibility_hash().hash(&mut settings);
    std::env::consts::ARCH.hash(&mut settings);
    let digest = sha256(bytes);
    Some(cache.join("steprun-compiled").join(format!(
        "{}-{:016x}-{}.cwasm",
        env!("CARGO_PKG_VERSION"),
        settings.finish(),
        digest.digest()
    )))
}

/// Whether the file and its directory are this user's and nobody else can write to them.
fn is_private(file: &Path) -> bool {
    let own = |path: &Path| {
        fs::symlink_metadata(path)
            .is_ok_and(|meta| meta.uid() == rustix::process::geteuid().as_raw() && meta.mode() & 0o022 == 0)
    };
    own(file) && file.parent().is_some_and(own)
}

fn write_private(file: &Path, content: &[u8]) -> std::io::Result<()> {
    let Some(directory) = file.parent() else { return Ok(()) };
    fs::DirBuilder::new().recursive(true).mode(0o700).create(directory)?;
    let mut temporary = tempfile::NamedTempFile::new_in(directory)?;
    temporary.write_all(content)?;
    temporary.persist(file)?;
    Ok(())
}
