//! Compiles the built-in components from source. Apart from what compiles them ahead of time, so that a fresh build does it
//! beside the runtime's long compilation and not after it.

use std::path::Path;
use std::{env, error::Error, fs};

use steprun_component_builder::{Builder, Target};

fn main() -> Result<(), Box<dyn Error>> {
    let builder = Builder::from_build_script()?;
    println!("cargo::rerun-if-env-changed=STEPRUN_WASM_TOOLCHAIN");
    for input in ["components", "wit", "Cargo.lock"] {
        println!("cargo::rerun-if-changed={}", builder.workspace().join(input).display());
    }
    let out_dir = env::var("OUT_DIR")?;
    for name in ["build", "promote"] {
        let component = builder.build(&format!("steprun-{name}"), Target::Unknown)?;
        fs::write(Path::new(&out_dir).join(format!("{name}.wasm")), component)?;
    }
    Ok(())
}
