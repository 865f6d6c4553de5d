//! The two builders.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

use super::case::Scene;
use super::image::Image;
use crate::tools::tool;
use crate::user::User;

/// An image, or why there is none.
pub type Built = Result<Image, String>;

/// steprun, with a store that lasts.
#[derive(Debug, Default)]
pub struct Steprun(User);

impl Steprun {
    /// Builds a case.
    pub fn build(&self, scene: &Scene) -> Built {
        let layout = self.0.home().join("layout");
        let _ = fs::remove_dir_all(&layout);
        let words = ["build", "--allow-run", "--no-push", "--context"];
        let outcome = self
            .0
            .steprun(words.iter().map(Path::new).chain([scene.context.path(), Path::new("--oci-layout-path"), &layout]))
            .args(&scene.arguments)
            .run();
        if outcome.status == Some(0) { Ok(Image::of_layout(&layout)) } else { Err(outcome.stderr) }
    }
}

/// buildah, with a storage of its own that lasts.
#[derive(Debug)]
pub struct Buildah(TempDir);

impl Default for Buildah {
    fn default() -> Self {
        Self::new()
    }
}

impl Buildah {
    /// An empty storage.
    pub fn new() -> Self {
        Self(tempfile::Builder::new().prefix("steprun-buildah-").tempdir().unwrap())
    }

    /// What it says of its version.
    pub fn version() -> String {
        let output = tool("buildah").arg("--version").output().unwrap();
        String::from_utf8(output.stdout).unwrap().trim_end().to_owned()
    }

    /// Builds a case, with an entry of the history for each instruction.
    ///
    /// The format is Docker's: an OCI config as buildah writes it has no HEALTHCHECK, SHELL and ONBUILD.
    pub fn build(&self, scene: &Scene) -> Built {
        let image = self.0.path().join("image");
        let _ = fs::remove_dir_all(&image);
        let mut command = self.command();
        command
            .args([
                "build",
                "--isolation=chroot",
                "--layers",
                "--no-cache",
                "--format=docker",
                "--identity-label=false",
            ])
            .args(["--tls-verify=false", "--pull=false", "--force-rm"])
            .arg(format!("--tag=dir:{}", image.display()))
            .args(&scene.arguments);
        if let Some(file) = self.equivalent(scene) {
            command.arg("--file").arg(file);
        }
        let output = command.arg(scene.context.path()).output().unwrap();
        let said = || String::from_utf8_lossy(&output.stderr).into_owned();
        if output.status.success() { Ok(Image::of_directory(&image)) } else { Err(said()) }
    }

    fn equivalent(&self, scene: &Scene) -> Option<PathBuf> {
        let path = self.0.path().join("Equivalent");
        fs::write(&path, scene.equivalent.as_ref()?).unwrap();
        Some(path)
    }

    fn command(&self) -> Command {
        // The driver `vfs` works in containers, too, and hard links don't depend on the kernel's overlayfs.
        let mut command = tool("buildah");
        let at = |name: &str| format!("{}/{name}", self.0.path().display());
        command
            .args(["--root", &at("root"), "--runroot", &at("run"), "--storage-driver=vfs"])
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("HOME", self.0.path())
            .env("TMPDIR", self.0.path());
        command
    }
}
