//! The main job from end to end: an embedded registry, an image built into it, and its promotion. No outside service.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::time::Instant;

use crate::{Result, build, root, steprun};

/// Runs the demonstration.
pub(crate) fn run() -> Result {
    let started = Instant::now();
    build()?;
    println!(
        "built steprun with its two components in {:.0} s: {}",
        started.elapsed().as_secs_f64(),
        steprun().display()
    );
    let registry = Registry::serve()?;
    println!("registry at {}", registry.address);

    let context = root().join("examples/hello");
    let testing = format!("{}/testing/hello:dev", registry.address);
    let stable = format!("{}/stable/hello", registry.address);
    let context = context.to_str().ok_or("the path of the examples is not UTF-8")?;
    let built = step(&["build", "--context", context, "--destination", &testing])?;
    step(&["promote", "copy", &testing, &format!("{stable}:1.0")])?;
    step(&["promote", "tag", &format!("{stable}:1.0"), "1.0.3"])?;
    for tag in ["1.0", "1.0.3"] {
        let digest = step(&["promote", "digest", &format!("{stable}:{tag}")])?;
        if !built.ends_with(&digest) {
            return Err(format!("{stable}:{tag} has the digest {digest}, and {built} was built"));
        }
    }
    step(&["promote", "ls", &stable])?;
    println!("the same digest in testing/ and stable/, {:.0} s after the start", started.elapsed().as_secs_f64());
    Ok(())
}

/// Runs a step, shows it, and gives what it prints.
fn step(words: &[&str]) -> Result<String> {
    let started = Instant::now();
    let output =
        Command::new(steprun()).args(words).stderr(Stdio::inherit()).output().map_err(|e| format!("steprun: {e}"))?;
    let printed = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    println!("$ steprun {}", words.join(" "));
    if !printed.is_empty() {
        println!("{printed}");
    }
    println!("  ({} ms)", started.elapsed().as_millis());
    if output.status.success() { Ok(printed) } else { Err(format!("steprun {}: {}", words.join(" "), output.status)) }
}

/// The embedded registry; ended when dropped.
struct Registry {
    process: Child,
    address: String,
}

impl Registry {
    fn serve() -> Result<Self> {
        let mut process = Command::new(steprun())
            .args(["registry", "serve"])
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|e| format!("can't start the registry: {e}"))?;
        // It prints its address when it listens.
        let mut address = String::new();
        let stdout = process.stdout.take().ok_or("the registry has no standard output")?;
        BufReader::new(stdout)
            .read_line(&mut address)
            .map_err(|e| format!("the registry did not say where it is: {e}"))?;
        let registry = Self { process, address: address.trim().to_owned() };
        if registry.address.is_empty() { Err("the registry did not start".to_owned()) } else { Ok(registry) }
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        // It may have ended by itself; then there is nothing left to do.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
