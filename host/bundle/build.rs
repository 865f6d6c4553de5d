//! Compiles the built-in components from source, then ahead of time to machine code.

use std::path::Path;
use std::{env, error::Error, fs};

use steprun_component_builder::{Builder, Target};

const COMPONENTS: [&str; 2] = ["build", "promote"];

fn main() -> Result<(), Box<dyn Error>> {
    let builder = Builder::from_build_script()?;
    println!("cargo::rerun-if-env-changed=STEPRUN_WASM_TOOLCHAIN");
    for input in ["components", "wit", "Cargo.lock"] {
        println!("cargo::rerun-if-changed={}", builder.workspace().join(input).display());
    }
    let out_dir = env::var("OUT_DIR")?;
    let engine = steprun_engine::engine()?;
    for name in COMPONENTS {
        let component = builder.build(&format!("steprun-{name}"), Target::Unknown)?;
        let compiled = engine.precompile_component(&component)?;
        fs::write(Path::new(&out_dir).join(format!("{name}.wasm")), component)?;
        fs::write(Path::new(&out_dir).join(format!("{name}.cwasm")), compiled)?;
    }
    Ok(())
}
