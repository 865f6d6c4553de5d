//! The binary to hand out: static, so that it runs on any Linux, in an image without a C library too.

use std::path::Path;
use std::{env, fs};

use crate::{Result, call, cargo, target};

/// Builds it, and makes sure that nothing else is needed to start it.
pub(crate) fn run() -> Result {
    // glibc has what looks up hosts and users in itself since 2.34, and loads no library for it.
    let triple = format!("{}-unknown-linux-gnu", env::consts::ARCH);
    // Most of a start is spent on relocating code that was compiled ahead of time; packed, relocations are a hundredth of the bytes.
    let flags = "-C target-feature=+crt-static -C link-arg=-Wl,-z,pack-relative-relocs";
    call(
        cargo()
            .args(["build", "--profile", "dist", "--package", "steprun", "--target", &triple])
            .env("RUSTFLAGS", flags),
    )?;
    let binary = target().join(triple).join("dist/steprun");
    let content = fs::read(&binary).map_err(|e| format!("{}: {e}", binary.display()))?;
    if names_interpreter(&content).ok_or_else(|| not_elf(&binary))? {
        return Err(format!("{} is not static: another program loads it", binary.display()));
    }
    println!("{} ({} MiB)", binary.display(), content.len() >> 20);
    Ok(())
}

fn not_elf(path: &Path) -> String {
    format!("{} is no 64-bit program of this machine", path.display())
}

/// Whether a 64-bit ELF file has a program header of the kind PT_INTERP (elf(5)); none if it is no such file.
fn names_interpreter(file: &[u8]) -> Option<bool> {
    const PT_INTERP: u32 = 3;
    let bytes = |at: usize, count: usize| file.get(at..at.checked_add(count)?);
    let half = |at| Some(usize::from(u16::from_le_bytes(bytes(at, 2)?.try_into().ok()?)));
    if bytes(0, 6)? != b"\x7fELF\x02\x01" {
        return None;
    }
    let table = usize::try_from(u64::from_le_bytes(bytes(32, 8)?.try_into().ok()?)).ok()?;
    let (size, count) = (half(54)?, half(56)?);
    for number in 0..count {
        let kind = bytes(table.checked_add(number * size)?, 4)?;
        if kind == PT_INTERP.to_le_bytes() {
            return Some(true);
        }
    }
    Some(false)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_test_has_an_interpreter_and_text_has_no_headers() {
        let own = fs::read(env::current_exe().unwrap()).unwrap();
        assert_eq!(names_interpreter(&own), Some(true));
        assert_eq!(names_interpreter(b"#!/bin/sh"), None);
        assert_eq!(names_interpreter(&own[..60]), None);
    }
}
