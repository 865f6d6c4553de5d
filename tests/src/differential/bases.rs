//! The images that Dockerfiles of the corpus start from.

use std::fs;

use serde_json::{Value, json};

use super::archive::archive;
use super::case::members;
use super::corpus;
use super::section::read;
use crate::judges::skopeo_copy;
use crate::registry::Registry;
use crate::{Base, rootfs};

/// Pushes them: `busybox`; `config`, a busybox with all that a config can have; `triggers`, one with ONBUILD; and `tree`, files of all
/// kinds without any program.
pub fn push_bases(registry: &Registry) {
    push(rootfs::busybox(), registry, "busybox");
    push(rootfs::busybox().field("config", config()), registry, "config");
    push(rootfs::busybox().field("config", triggers()), registry, "triggers");
    let (_, files) = read(&fs::read_to_string(corpus().join("bases/tree.txtar")).unwrap());
    let layers = members(&files).map(|(name, members)| archive(name, &members));
    push(layers.fold(Base::new(json!({})), Base::tar), registry, "tree");
}

/// As Docker's kind of image: of an OCI image, buildah takes no HEALTHCHECK, SHELL and ONBUILD.
fn push(base: Base, registry: &Registry, name: &str) {
    let directory = tempfile::tempdir().unwrap();
    base.write(directory.path());
    let from = format!("oci:{}:image", directory.path().display());
    let mut options = registry.skopeo_options("dest-");
    options.push("--format=v2s2".to_owned());
    skopeo_copy(&from, &format!("docker://{}", registry.image(name)), &options);
}

fn config() -> Value {
    json!({
        "Env": ["PATH=/bin:/usr/bin", "BASE=yes", "LAST=1"],
        "Cmd": ["base", "command"],
        "Entrypoint": ["/base"],
        "WorkingDir": "/home/app",
        "User": "app",
        "Labels": { "of": "base", "kept": "yes" },
        "ExposedPorts": { "70/tcp": {} },
        "Volumes": { "/data": {} },
        "StopSignal": "SIGUSR2",
        "Shell": ["/bin/busybox", "sh", "-c"],
        "Healthcheck": { "Test": ["CMD", "check"], "Interval": 1_000_000_000_u64, "Retries": 2 },
    })
}

fn triggers() -> Value {
    json!({
        "Env": ["PATH=/bin"],
        "OnBuild": ["WORKDIR /trigger", "COPY file .", "ENV TRIGGERED=yes", "LABEL order=before", "RUN echo run > ran"],
    })
}
