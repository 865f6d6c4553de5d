//! What is built: contexts of the kinds that people have, the same bytes on every machine.
//!
//! W1 is a program of 20 MB on a base, W2 a tree of 20,000 small files with what an ignore file leaves out. Dockerfiles take the registry of
//! their base as the argument `REG`.

use std::fs::{self, File, Permissions};
use std::io::{BufWriter, Write};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;

/// Binary, as in sizes of memory.
pub(crate) const MIB: usize = 1 << 20;

/// The base of both.
pub(crate) const BASE: &str = "library/debian:1";

/// Packages of W2, of 50 files that are kept and 6 that are not.
pub(crate) const PACKAGES: u64 = 400;

/// Files of a package that are kept.
pub(crate) const FILES_OF_A_PACKAGE: u64 = 50;

/// Median and spread of the logarithm of a file's size: half of the files have less than 1.3 KB, one in a hundred more than 17 KB.
const SIZES: (f64, f64) = (7.2, 1.1);

/// The file of W2 that changes.
pub(crate) const CHANGED: &str = "node_modules/pkg007/lib/f07.js";

const SETTINGS: &str = "ENV APP_HOME=/srv APP_MODE=prod\n\
                        LABEL org.opencontainers.image.title=\"w1\" org.opencontainers.image.version=\"1.0\"\n\
                        WORKDIR /srv\nEXPOSE 8080\nUSER 1000\nCMD [\"/usr/local/bin/app\",\"--serve\"]\n";

/// A small generator (xorshift); each seed has its own numbers.
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Self((seed + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15))
    }

    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    /// Bytes that do not compress.
    pub(crate) fn bytes(&mut self, count: usize) -> Vec<u8> {
        std::iter::repeat_with(|| self.next().to_le_bytes()).take(count.div_ceil(8)).flatten().take(count).collect()
    }

    fn below(&mut self, limit: usize) -> usize {
        (self.next() >> 16) as usize % limit
    }

    /// Above 0, at most 1.
    fn unit(&mut self) -> f64 {
        ((self.next() >> 11) + 1) as f64 / (1_u64 << 53) as f64
    }

    /// Of the standard normal distribution (Box and Muller).
    fn normal(&mut self) -> f64 {
        (-2.0 * self.unit().ln()).sqrt() * (std::f64::consts::TAU * self.unit()).cos()
    }

    fn size(&mut self) -> usize {
        let (median, spread) = SIZES;
        (median + spread * self.normal()).exp().clamp(80.0, 60_000.0) as usize
    }
}

/// W1: a program of 20 MB, half of each MiB random and half text, and all that an image says of it.
pub(crate) fn one_program(directory: &Path) {
    let program = directory.join("app.bin");
    let mut file = BufWriter::new(File::create(&program).expect("a file can be made"));
    for number in 0..20 {
        let line = format!("line {number:08} of some compressible payload text\n");
        let text = line.bytes().cycle().take(MIB / 2);
        let half = Random::new(number).bytes(MIB / 2);
        file.write_all(&half).expect("a file can be written");
        file.write_all(&text.collect::<Vec<u8>>()).expect("a file can be written");
    }
    fs::set_permissions(&program, Permissions::from_mode(0o755)).expect("a mode can be set");
    write(
        directory,
        "Dockerfile",
        format!("ARG REG\nFROM ${{REG}}/{BASE}\nCOPY app.bin /usr/local/bin/app\n{SETTINGS}"),
    );
}

/// W2: packages of small files, and a tenth as much that the ignore file leaves out.
pub(crate) fn many_files(directory: &Path) {
    packages(directory, PACKAGES);
    for package in 0..PACKAGES {
        let path = format!("node_modules/pkg{package:03}");
        for number in 0..5 {
            let text = format!("ignored doc {number}\n").repeat(50);
            write(directory, &format!("{path}/docs/d{number}.md"), &text);
        }
        write(directory, &format!("{path}/debug.log"), "log\n".repeat(100));
    }
    for number in 0..200 {
        write(directory, &format!(".git/objects/o{number}"), Random::new(number).bytes(20_000));
    }
    let ignored = ".git\n**/*.log\n**/docs\n!node_modules/pkg000/docs\nDockerfile\n.dockerignore\n";
    write(directory, ".dockerignore", ignored);
    write(directory, "Dockerfile", format!("ARG REG\nFROM ${{REG}}/{BASE}\nWORKDIR /app\nCOPY . .\nCMD [\"ls\"]\n"));
}

/// The files of packages, and a link in each.
pub(crate) fn packages(directory: &Path, count: u64) {
    let mut random = Random::new(7);
    let words: Vec<String> = (0..150).map(|_| word(&mut random)).collect();
    for package in 0..count {
        for part in ["", "lib/", "dist/", "src/util/", "types/"] {
            for number in 0..FILES_OF_A_PACKAGE / 5 {
                let (mut text, size) = (String::new(), random.size());
                while text.len() < size {
                    text += &words[random.below(words.len())];
                    text.push(' ');
                }
                write(directory, &format!("node_modules/pkg{package:03}/{part}f{number:02}.js"), text.trim_end());
            }
        }
        let link = directory.join(format!("node_modules/pkg{package:03}/index.js"));
        symlink("lib/f00.js", link).expect("a link can be made");
    }
}

/// Three to ten hexadecimal digits.
fn word(random: &mut Random) -> String {
    let length = 3 + random.below(8);
    (0..length).map(|_| char::from(b"0123456789abcdef"[random.below(16)])).collect()
}

/// Writes a file; directories that it needs are made.
pub(crate) fn write(directory: &Path, path: &str, content: impl AsRef<[u8]>) {
    let full = directory.join(path);
    fs::create_dir_all(full.parent().unwrap_or(directory)).expect("a directory can be made");
    fs::write(full, content).expect("a file can be written");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_log_normal() {
        let mut random = Random::new(7);
        let mut sizes: Vec<usize> = (0..20_001).map(|_| random.size()).collect();
        sizes.sort_unstable();
        // The median is e^7.2 = 1339; a hundredth lies above e^(7.2 + 2.33 * 1.1) = 17,400.
        assert!((1300..1380).contains(&sizes[10_000]), "{}", sizes[10_000]);
        assert!((16_000..19_000).contains(&sizes[19_800]), "{}", sizes[19_800]);
    }

    #[test]
    fn bytes_are_frozen() {
        assert_eq!(Random::new(0).bytes(3), Random::new(0).bytes(8)[..3]);
        assert_ne!(Random::new(0).bytes(8), Random::new(1).bytes(8));
    }
}
