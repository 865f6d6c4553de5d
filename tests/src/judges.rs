//! Other tools that judge what we made: skopeo and umoci, and crane where there is one.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use crate::registry::Registry;
use crate::tools::tool;

/// crane: what `STEPRUN_TEST_CRANE` names, or that of PATH. No distribution has a package of it, so it may be missing.
pub fn crane() -> Option<PathBuf> {
    let named = std::env::var_os("STEPRUN_TEST_CRANE").map(PathBuf::from);
    let in_path = || {
        let paths = std::env::var_os("PATH")?;
        std::env::split_paths(&paths).map(|directory| directory.join("crane")).find(|path| path.is_file())
    };
    named.or_else(in_path)
}

/// The digests of an image's layers, base first.
#[track_caller]
pub fn layers(registry: &Registry, image: &str) -> Vec<String> {
    let manifest: Value = serde_json::from_slice(&raw_manifest(registry, image)).unwrap();
    let layers = manifest["layers"].as_array().unwrap().iter();
    layers.map(|layer| layer["digest"].as_str().unwrap().to_owned()).collect()
}

/// Runs a command that must succeed, and gives its standard output.
#[track_caller]
fn judge(command: &mut Command) -> Vec<u8> {
    let output = command.output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?} refuses what we made:\n{said}");
    output.stdout
}

/// `skopeo inspect`: the config of an image if `config`, else skopeo's own summary.
#[track_caller]
pub fn inspect(registry: &Registry, image: &str, config: bool) -> Value {
    let mut command = tool("skopeo");
    command.arg("inspect").args(registry.skopeo_options(""));
    if config {
        command.arg("--config");
    }
    let output = judge(command.arg(format!("docker://{}", registry.image(image))));
    serde_json::from_slice(&output).unwrap()
}

/// The bytes of a manifest.
#[track_caller]
pub fn raw_manifest(registry: &Registry, image: &str) -> Vec<u8> {
    let mut command = tool("skopeo");
    command.arg("inspect").args(registry.skopeo_options("")).arg("--raw");
    judge(command.arg(format!("docker://{}", registry.image(image))))
}

/// `skopeo copy FROM TO` with skopeo's transports, such as `oci:DIR:TAG`, and no registry.
#[track_caller]
pub fn skopeo_copy(from: &str, to: &str, options: &[String]) {
    judge(tool("skopeo").args(["copy", "--insecure-policy", "--all"]).args(options).arg(from).arg(to));
}

/// Copies an image out of a registry into an OCI layout, under the name `image`.
#[track_caller]
pub fn layout_of(registry: &Registry, image: &str, directory: &Path) -> PathBuf {
    let layout = directory.join("layout");
    let from = format!("docker://{}", registry.image(image));
    skopeo_copy(&from, &format!("oci:{}:image", layout.display()), &registry.skopeo_options("src-"));
    layout
}

/// `umoci unpack`: the root file system of the image `name` in an OCI layout.
#[track_caller]
pub fn unpack(layout: &Path, name: &str, directory: &Path) -> PathBuf {
    let bundle = directory.join(format!("bundle-{name}"));
    let image = format!("{}:{name}", layout.display());
    judge(tool("umoci").args(["unpack", "--keep-dirlinks", "--image", &image]).arg(&bundle));
    bundle.join("rootfs")
}
