//! Compiles the built-in components ahead of time to machine code.

use std::path::Path;
use std::{env, error::Error, fs};

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed=build.rs");
    let out_dir = env::var("OUT_DIR")?;
    let engine = steprun_engine::engine()?;
    for (name, component) in [("build", steprun_wasm::BUILD), ("promote", steprun_wasm::PROMOTE)] {
        let compiled = engine.precompile_component(component)?;
        fs::write(Path::new(&out_dir).join(format!("{name}.cwasm")), compiled)?;
    }
    Ok(())
}
