//! Root file systems with programs in them, for RUN: Debian's from the machine's own package sources, and busybox.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use rustix::fs::{FlockOperation, flock};
use serde_json::json;

use crate::judges::skopeo_copy;
use crate::registry::Registry;
use crate::tools::{path_of, tool};
use crate::{Base, Layer, sha256};

/// What tests need besides the smallest system: `setfattr` and `setcap`.
const PACKAGES: &str = "attr,libcap2-bin";

/// Changes with the way it is made, so that what an earlier version of this file made is not taken.
const RECIPE: &str = "2";

/// The settings of apt that lead it to its mirror; no other of the machine's settings go in.
const SETTINGS: [&str; 4] = ["Acquire::http", "Acquire::https", "Acquire::Check-", "Acquire::Retries"];

/// A Debian (or what the machine runs of that family), made once per machine and kept below `/var/tmp`.
#[derive(Debug)]
pub struct Debian {
    directory: PathBuf,
}

impl Debian {
    /// Makes it if it is not there: a minute or two, with the network.
    pub fn get() -> &'static Self {
        static DEBIAN: OnceLock<Debian> = OnceLock::new();
        DEBIAN.get_or_init(|| {
            let recipe = Recipe::of_this_machine();
            let directory = Path::new("/var/tmp").join(format!("steprun-test-debian-{}", recipe.key()));
            // Of any number of test processes one makes it, and the others wait.
            let lock = File::create(directory.with_extension("lock")).unwrap();
            flock(&lock, FlockOperation::LockExclusive).unwrap();
            if !directory.is_dir() {
                recipe.make(&directory);
            }
            Self { directory }
        })
    }

    /// Pushes it as an image with one layer, such as `base/debian:1`.
    #[track_caller]
    pub fn push(&self, registry: &Registry, image: &str) {
        let from = format!("oci:{}:image", self.directory.join("layout").display());
        skopeo_copy(&from, &format!("docker://{}", registry.image(image)), &registry.skopeo_options("dest-"));
    }

    /// The unpacked tree, with empty files where [`Place`](crate::Place)s mount theirs. Nobody writes to it.
    pub fn root(&self) -> PathBuf {
        self.directory.join("root")
    }
}

/// What goes into the system.
struct Recipe {
    suite: String,
    sources: String,
    settings: String,
}

impl Recipe {
    fn of_this_machine() -> Self {
        let release = fs::read_to_string("/etc/os-release").unwrap();
        let suite = release.lines().find_map(|line| line.strip_prefix("VERSION_CODENAME="));
        let suite = suite.expect("this test makes a root file system with apt, on Debian or Ubuntu").to_owned();
        let dump = tool("apt-config").arg("dump").output().unwrap().stdout;
        let dump = String::from_utf8(dump).unwrap();
        let settings = dump.lines().filter(|line| SETTINGS.iter().any(|setting| line.starts_with(setting)));
        let settings = settings.map(|line| format!("{line}\n")).collect();
        Self { sources: sources(&suite), suite, settings }
    }

    fn key(&self) -> String {
        let Self { suite, sources, settings } = self;
        let all = [RECIPE, PACKAGES, suite, sources, settings].join("\0");
        sha256(all.as_bytes())["sha256:".len()..][..12].to_owned()
    }

    /// Makes it beside, so that it appears whole or not at all.
    fn make(&self, directory: &Path) {
        let beside = tempfile::tempdir_in(directory.parent().unwrap()).unwrap();
        let at = |name: &str| beside.path().join(name);
        fs::write(at("apt.conf"), &self.settings).unwrap();
        fs::write(at("machine.sources"), &self.sources).unwrap();
        eprintln!("making a {} for tests in {}", self.suite, directory.display());
        // The machine's name servers and name are not the image's.
        let made = tool("mmdebstrap")
            .args(["--variant=minbase", &format!("--include={PACKAGES}")])
            .arg(format!("--aptopt={}", at("apt.conf").display()))
            .arg("--customize-hook=rm -f \"$1/etc/resolv.conf\" \"$1/etc/hostname\"")
            .arg(&self.suite)
            .args([at("root.tar"), at("machine.sources")])
            .output()
            .unwrap();
        assert!(made.status.success(), "mmdebstrap: {}", String::from_utf8_lossy(&made.stderr));
        let config = json!({ "Env": [format!("PATH={PATH}")], "Cmd": ["bash"] });
        Base::new(config).tar(fs::read(at("root.tar")).unwrap()).write(&at("layout"));
        unpack(&at("root.tar"), &at("root"));
        fs::remove_file(at("root.tar")).unwrap();
        fs::set_permissions(beside.path(), std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
        fs::rename(beside.keep(), directory).unwrap();
    }
}

/// The image's PATH.
pub(crate) const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Where [`Place`](crate::Place)s mount the binary.
pub(crate) const BINARY: &str = "/usr/local/bin/steprun";

fn unpack(tar: &Path, root: &Path) {
    fs::create_dir(root).unwrap();
    let mut command = tool("tar");
    command.args(["--numeric-owner", "--xattrs", "--xattrs-include=*", "-xf"]).arg(tar).arg("-C").arg(root);
    assert!(command.status().unwrap().success(), "{command:?}");
    for file in ["etc/resolv.conf", "etc/hosts", &BINARY[1..]] {
        File::create(root.join(file)).unwrap();
    }
}

/// The machine's package sources for its own release, as deb822 stanzas or one-line entries, without those of third parties: these have
/// needs of their own.
fn sources(suite: &str) -> String {
    let mut files: Vec<PathBuf> = fs::read_dir("/etc/apt/sources.list.d")
        .into_iter()
        .flatten()
        .map(|entry| entry.unwrap().path())
        .chain([PathBuf::from("/etc/apt/sources.list")])
        .collect();
    files.sort_unstable();
    let read = |kind: &str| {
        let files = files.iter().filter(|file| file.extension().is_some_and(|extension| extension == kind));
        files.filter_map(|file| fs::read_to_string(file).ok()).collect::<Vec<_>>().join("\n\n")
    };
    let stanzas = read("sources");
    let stanzas: Vec<&str> = stanzas.split("\n\n").filter(|stanza| is_own(stanza, suite)).collect();
    if stanzas.is_empty() {
        let lines = read("list");
        let lines = lines.lines().filter(|line| line.starts_with("deb ") && is_own(line, suite));
        return lines.map(|line| format!("{line}\n")).collect();
    }
    stanzas.join("\n\n")
}

/// Whether an entry is of the distribution: for its release, and signed by its keys where it says by which.
fn is_own(entry: &str, suite: &str) -> bool {
    let signed = !entry.to_lowercase().contains("signed-by") || entry.contains("-archive-keyring");
    entry.split_whitespace().any(|word| word.starts_with(suite)) && signed && !entry.contains("Enabled: no")
}

/// A small image with a shell, `root`, and `app` (1000:1000, also in group `staff`, 50): milliseconds to unpack, no package needed.
pub fn busybox() -> Base {
    let program = fs::read(path_of("busybox")).unwrap();
    let applets = tool("busybox").arg("--list").output().unwrap().stdout;
    let applets = String::from_utf8(applets).unwrap();
    let mut layer = Layer::new();
    for (path, mode) in [
        ("bin", 0o755),
        ("dev", 0o755),
        ("etc", 0o755),
        ("home", 0o755),
        ("proc", 0o555),
        ("root", 0o700),
        ("sys", 0o555),
        ("tmp", 0o1777),
        ("usr", 0o755),
    ] {
        layer = layer.directory(path, mode, (0, 0));
    }
    let passwd = b"root:x:0:0:root:/root:/bin/sh\napp:x:1000:1000::/home/app:/bin/sh\n";
    layer = layer
        .directory("home/app", 0o755, (1000, 1000))
        .file("etc/passwd", 0o644, (0, 0), passwd)
        .file("etc/group", 0o644, (0, 0), b"root:x:0:\nstaff:x:50:app\napp:x:1000:\n")
        .file("bin/busybox", 0o755, (0, 0), &program);
    for applet in applets.lines().filter(|applet| *applet != "busybox") {
        layer = layer.symlink(&format!("bin/{applet}"), "busybox");
    }
    Base::new(json!({ "Env": ["PATH=/bin"], "Cmd": ["sh"] })).layer(layer)
}
