//! Compiles the components that the tests run.

use std::error::Error;
use std::path::Path;

use steprun_component_builder::{Builder, Target};

const COMPONENTS: [(&str, Target); 2] = [("steprun-hostile", Target::Unknown), ("steprun-wasi-hello", Target::WasiP2)];

fn main() -> Result<(), Box<dyn Error>> {
    let builder = Builder::from_build_script()?;
    println!("cargo::rerun-if-env-changed=STEPRUN_WASM_TOOLCHAIN");
    for input in ["tests/components", "components/guest", "components/ports", "wit", "Cargo.lock"] {
        println!("cargo::rerun-if-changed={}", builder.workspace().join(input).display());
    }
    let out_dir = std::env::var("OUT_DIR")?;
    for (package, target) in COMPONENTS {
        let component = builder.build(package, target)?;
        std::fs::write(Path::new(&out_dir).join(package).with_extension("wasm"), component)?;
    }
    Ok(())
}
