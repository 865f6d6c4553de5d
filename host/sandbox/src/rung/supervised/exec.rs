//! execve(2) of programs in a root that isn't the kernel's.
//!
//! A static program is executed by its path on the host. A dynamic one names its loader by an absolute path (PT_INTERP), which the kernel would
//! look up on the host; so the root's own loader is executed, with the program as its argument: `ld.so --argv0 NAME PROGRAM ARGUMENT..`. It
//! opens the program by a system call, which is served. Of a script (`#!`) the interpreter is executed, as the kernel does it.

use std::collections::HashMap;
use std::fs::File;
use std::os::fd::AsFd;
use std::os::unix::fs::FileExt;

use rustix::fs::{OFlags, readlinkat};
use rustix::io::Errno;

use super::owners::{EXECUTE, key};
use super::process::Program;
use super::world::{Caller, Found, Last, World, number};

/// As many interpreters of interpreters as the kernel follows.
const MOST_INTERPRETERS: usize = 5;
/// How much of a script's first line counts (BINPRM_BUF_SIZE).
const FIRST_LINE: usize = 256;
/// How much of a program is read for its headers.
const HEADERS: usize = 4096;

/// An argument of the new program.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Argument {
    /// One that was given, at an address of the caller.
    Given(u64),
    /// One that is new.
    New(Vec<u8>),
}

/// What to execute instead.
#[derive(Debug)]
pub(super) struct Plan {
    /// Path on the host.
    pub(super) host: Vec<u8>,
    /// All arguments.
    pub(super) arguments: Vec<Argument>,
    /// What the command believes to run.
    pub(super) program: Program,
    /// User and group of a program with set-id bits.
    pub(super) set_ids: (Option<u32>, Option<u32>),
}

/// Makes plans. Which loaders take `--argv0` (glibc 2.33, musl) is read from them once.
#[derive(Debug, Default)]
pub(super) struct Planner {
    loaders: HashMap<(u64, u64), bool>,
}

impl Planner {
    /// How to execute the program at `path` (absolute; `written` as in the call).
    ///
    /// # Errors
    /// As execve(2).
    pub(super) fn plan(
        &mut self,
        world: &World,
        caller: &Caller,
        path: Vec<u8>,
        written: Vec<u8>,
        given: &[u64],
    ) -> Result<Plan, Errno> {
        let (mut path, mut written) = (path, written);
        let mut arguments: Vec<_> = given.iter().copied().map(Argument::Given).collect();
        for _ in 0..MOST_INTERPRETERS {
            let found = executable(world, caller, &path)?;
            let mut head = [0; HEADERS];
            let file = File::from(world.reopen(found.file.as_fd(), OFlags::RDONLY)?);
            let length = file.read_at(&mut head, 0).map_err(|_| Errno::IO)?;
            let head = &head[..length];
            let Some(Script { interpreter, option }) = script(&head[..length.min(FIRST_LINE)])? else {
                return self.plan_elf(world, caller, &found, &path, interpreter_of(&file, head)?, arguments);
            };
            let mut new = vec![Argument::New(interpreter.clone())];
            new.extend(option.map(Argument::New));
            new.push(Argument::New(written));
            new.extend(arguments.into_iter().skip(1));
            arguments = new;
            path = world.absolute(caller, libc::AT_FDCWD, &interpreter)?;
            written = interpreter;
        }
        Err(Errno::LOOP)
    }

    fn plan_elf(
        &mut self,
        world: &World,
        caller: &Caller,
        found: &Found,
        path: &[u8],
        interpreter: Option<Vec<u8>>,
        arguments: Vec<Argument>,
    ) -> Result<Plan, Errno> {
        let looks = world.looks(found);
        let set = |bits, id| (looks.mode & bits == bits).then_some(id);
        let set_ids = (set(libc::S_ISUID, looks.uid), set(libc::S_ISGID | libc::S_IXGRP, looks.gid));
        let host = host_path(world, found)?;
        let seen = world.seen_as(&host).ok_or(Errno::ACCESS)?;
        let Some(interpreter) = interpreter else {
            let program = Program { path: seen, loader_arguments: 0 };
            return Ok(Plan { host, arguments, program, set_ids });
        };
        let loader = executable(world, caller, &interpreter)?;
        let mut new = vec![Argument::New(interpreter)];
        if self.takes_name(world, &loader)? {
            new.push(Argument::New(b"--argv0".to_vec()));
            new.push(arguments.first().cloned().unwrap_or(Argument::New(Vec::new())));
            new.push(Argument::New(seen.clone()));
        } else {
            // An old loader makes the path the name: at least its last component is what was called.
            new.push(Argument::New(path.to_vec()));
        }
        // The last of them, the name, is the program's own first argument.
        let loader_arguments = new.len() - 1;
        new.extend(arguments.into_iter().skip(1));
        let program = Program { path: seen, loader_arguments };
        Ok(Plan { host: host_path(world, &loader)?, arguments: new, program, set_ids })
    }

    /// Whether a loader knows `--argv0`: its help text names it.
    fn takes_name(&mut self, world: &World, loader: &Found) -> Result<bool, Errno> {
        if let Some(known) = self.loaders.get(&key(&loader.stat)) {
            return Ok(*known);
        }
        let mut content = Vec::new();
        let mut file = File::from(world.reopen(loader.file.as_fd(), OFlags::RDONLY)?);
        std::io::Read::read_to_end(&mut file, &mut content).map_err(|_| Errno::IO)?;
        let option = b"argv0";
        let takes = content.windows(option.len()).any(|window| window == option);
        self.loaders.insert(key(&loader.stat), takes);
        Ok(takes)
    }
}

fn executable(world: &World, caller: &Caller, path: &[u8]) -> Result<Found, Errno> {
    let found = world.find(caller, path, Last::Follow)?;
    let looks = world.looks(&found);
    if looks.kind() != libc::S_IFREG {
        return Err(Errno::ACCESS);
    }
    looks.permit(&caller.process.ids(), EXECUTE)?;
    Ok(found)
}

fn host_path(world: &World, found: &Found) -> Result<Vec<u8>, Errno> {
    Ok(readlinkat(&world.descriptors, number(found.file.as_fd()).as_slice(), Vec::new())?.into_bytes())
}

/// The first line of a script.
#[derive(Debug, PartialEq, Eq)]
struct Script {
    interpreter: Vec<u8>,
    option: Option<Vec<u8>>,
}

/// Interpreter and option of a script, by the rules of binfmt_script: one option, whatever blanks it has inside.
fn script(head: &[u8]) -> Result<Option<Script>, Errno> {
    let Some(line) = head.strip_prefix(b"#!") else { return Ok(None) };
    let line = line.split(|byte| *byte == b'\n').next().unwrap_or_default();
    let is_blank = |byte: &u8| *byte == b' ' || *byte == b'\t';
    let start = line.iter().position(|byte| !is_blank(byte)).ok_or(Errno::NOEXEC)?;
    let end = line.iter().rposition(|byte| !is_blank(byte)).map_or(line.len(), |last| last + 1);
    let line = &line[start..end];
    let cut = line.iter().position(is_blank).unwrap_or(line.len());
    let option = line[cut..].iter().position(|byte| !is_blank(byte)).map(|from| line[cut + from..].to_vec());
    Ok(Some(Script { interpreter: line[..cut].to_vec(), option }))
}

#[cfg(target_arch = "x86_64")]
const MACHINE: u16 = 62;
#[cfg(target_arch = "aarch64")]
const MACHINE: u16 = 183;
/// Type of the program header that names the loader (elf(5)).
const PT_INTERP: u32 = 3;
/// Size of a program header.
const PROGRAM_HEADER: usize = 56;

/// The loader that an ELF program names.
fn interpreter_of(file: &File, head: &[u8]) -> Result<Option<Vec<u8>>, Errno> {
    // 64 bits, little-endian.
    if !head.starts_with(b"\x7fELF\x02\x01") || half(head, 18)? != MACHINE {
        return Err(Errno::NOEXEC);
    }
    let (offset, size, count) = (word(head, 32)? as usize, half(head, 54)? as usize, half(head, 56)? as usize);
    if size != PROGRAM_HEADER {
        return Err(Errno::NOEXEC);
    }
    let mut headers = vec![0; size * count];
    file.read_exact_at(&mut headers, offset as u64).map_err(|_| Errno::NOEXEC)?;
    for header in headers.chunks_exact(size) {
        let kind = u32::from(half(header, 0)?) | u32::from(half(header, 2)?) << 16;
        if kind == PT_INTERP {
            let length = word(header, 32)? as usize;
            if !(2..=libc::PATH_MAX as usize).contains(&length) {
                return Err(Errno::NOEXEC);
            }
            let mut path = vec![0; length];
            file.read_exact_at(&mut path, word(header, 8)?).map_err(|_| Errno::NOEXEC)?;
            path.truncate(path.iter().position(|byte| *byte == 0).unwrap_or(length));
            return Ok(Some(path));
        }
    }
    Ok(None)
}

fn half(bytes: &[u8], at: usize) -> Result<u16, Errno> {
    let part = bytes.get(at..at + 2).and_then(|part| part.try_into().ok());
    part.map(u16::from_le_bytes).ok_or(Errno::NOEXEC)
}

fn word(bytes: &[u8], at: usize) -> Result<u64, Errno> {
    let part = bytes.get(at..at + 8).and_then(|part| part.try_into().ok());
    part.map(u64::from_le_bytes).ok_or(Errno::NOEXEC)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn first_lines_are_split_as_the_kernel_does() {
        let check = |head: &str, interpreter: &str, option: Option<&str>| {
            let option = option.map(|option| option.as_bytes().to_vec());
            assert_eq!(script(head.as_bytes()), Ok(Some(Script { interpreter: interpreter.into(), option })));
        };
        check("#!/bin/sh\necho", "/bin/sh", None);
        check("#! /usr/bin/env  -S perl -w \n", "/usr/bin/env", Some("-S perl -w"));
        check("#!\t/bin/sh\t-e", "/bin/sh", Some("-e"));
        assert_eq!([script(b"echo"), script(b"\x7fELF")], [Ok(None), Ok(None)]);
        assert_eq!(script(b"#! \nx"), Err(Errno::NOEXEC));
    }

    #[test]
    fn programs_name_their_loader() {
        let file = File::open("/proc/self/exe").expect("this test");
        let mut head = [0; HEADERS];
        let length = file.read_at(&mut head, 0).expect("readable");
        let loader = interpreter_of(&file, &head[..length]).expect("a program").expect("dynamic");
        assert!(loader.starts_with(b"/lib"), "{}", String::from_utf8_lossy(&loader));
        assert_eq!(interpreter_of(&file, b"not a program"), Err(Errno::NOEXEC));
        head[18] = 3;
        assert_eq!(interpreter_of(&file, &head), Err(Errno::NOEXEC), "of another machine");
    }
}
