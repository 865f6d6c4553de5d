//! Calls that the kernel does for the calling thread alone: their paths are replaced by those of the host while the thread stands.

use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;

use rustix::fs::readlinkat;
use rustix::io::Errno;

use super::exec::{Argument, Plan, Planner};
use super::memory::Memory;
use super::path::split;
use super::registers::Registers;
use super::scratch::Scratch;
use super::world::{Caller, Found, Last, World, number};

/// Most arguments of a program; the kernel's limit is by size.
const MOST_ARGUMENTS: usize = 1 << 20;
/// Longest path of a local socket, with its NUL (unix(7)).
const LONGEST_SOCKET: usize = 108;
/// Room for a `sockaddr_un`.
const LONGEST_ADDRESS: usize = 2 + LONGEST_SOCKET;

/// What a rewritten call does to the process if it succeeds.
#[derive(Debug)]
pub(super) enum Effect {
    /// It runs another program.
    Executes(Box<Plan>),
    /// Nothing that we keep.
    None,
}

/// A call to rewrite.
pub(super) struct Rewrite<'a> {
    pub(super) world: &'a World,
    pub(super) scratch: &'a Scratch,
    pub(super) planner: &'a mut Planner,
    pub(super) caller: Caller,
}

impl Rewrite<'_> {
    /// Changes registers and memory of the thread.
    ///
    /// # Errors
    /// What the call shall give instead.
    pub(super) fn apply(mut self, registers: &mut Registers) -> Result<Effect, Errno> {
        let number = registers.number(self.caller.thread).map_err(|_| Errno::IO)?;
        match number {
            libc::SYS_execve => {
                let [path, arguments, environment] = [0, 1, 2].map(|index| registers.argument(index));
                let written = self.memory().read_string(path)?;
                self.execute(registers, libc::AT_FDCWD, written, [arguments, environment])
            }
            libc::SYS_execveat => {
                let [path, arguments, environment] = [1, 2, 3].map(|index| registers.argument(index));
                let written = self.memory().read_string(path)?;
                self.execute(registers, registers.argument(0) as i32, written, [arguments, environment])
            }
            libc::SYS_chdir => self.change_directory(registers),
            libc::SYS_inotify_add_watch => {
                let path = self.path(registers.argument(1))?;
                let found = self.world.find(&self.caller, &path, Last::Follow)?;
                let host = self.host_path(&found)?;
                self.put(registers, 1, &[&host, &b"\0"[..]].concat())
            }
            libc::SYS_connect | libc::SYS_bind => self.name_socket(registers, number == libc::SYS_bind),
            _ => Err(Errno::NOSYS),
        }
    }

    fn memory(&self) -> Memory {
        Memory::of(self.caller.thread)
    }

    fn path(&self, address: u64) -> Result<Vec<u8>, Errno> {
        let path = self.memory().read_string(address)?;
        self.world.absolute(&self.caller, libc::AT_FDCWD, &path)
    }

    fn host_path(&self, found: &Found) -> Result<Vec<u8>, Errno> {
        Ok(readlinkat(&self.world.descriptors, number(found.file.as_fd()).as_slice(), Vec::new())?.into_bytes())
    }

    /// Puts bytes on the free stack and makes an argument point there.
    fn put(&self, registers: &mut Registers, index: usize, bytes: &[u8]) -> Result<Effect, Errno> {
        let address = (registers.free_stack() - bytes.len() as u64) & !15;
        self.memory().write_stack(address, bytes)?;
        registers.set_argument(index, address);
        Ok(Effect::None)
    }

    fn change_directory(&self, registers: &mut Registers) -> Result<Effect, Errno> {
        let path = self.path(registers.argument(0))?;
        let found = self.world.find(&self.caller, &path, Last::Follow)?;
        let looks = self.world.looks(&found);
        if !looks.is_directory() {
            return Err(Errno::NOTDIR);
        }
        looks.permit(&self.caller.process.ids(), super::owners::EXECUTE)?;
        let host = self.host_path(&found)?;
        self.put(registers, 0, &[&host, &b"\0"[..]].concat())
    }

    fn execute(
        &mut self,
        registers: &mut Registers,
        directory: i32,
        written: Vec<u8>,
        [arguments, environment]: [u64; 2],
    ) -> Result<Effect, Errno> {
        let path = if written.is_empty() && directory != libc::AT_FDCWD {
            self.world.directory_path(&self.caller, directory)?
        } else {
            self.world.absolute(&self.caller, directory, &written)?
        };
        let written = if directory == libc::AT_FDCWD { written } else { path.clone() };
        let given = self.arguments(arguments)?;
        let plan = self.planner.plan(self.world, &self.caller, path, written, &given)?;
        self.put_plan(registers, &plan, environment)?;
        Ok(Effect::Executes(Box::new(plan)))
    }

    fn arguments(&self, mut address: u64) -> Result<Vec<u64>, Errno> {
        let mut arguments = Vec::new();
        // Linux takes no array for an empty one.
        while address != 0 && arguments.len() < MOST_ARGUMENTS {
            let [argument] = self.memory().read_words(address)?;
            if argument == 0 {
                return Ok(arguments);
            }
            arguments.push(argument);
            address += 8;
        }
        if address == 0 { Ok(arguments) } else { Err(Errno::TOOBIG) }
    }

    /// Puts path, new arguments and the array of all arguments on the free stack.
    fn put_plan(&self, registers: &mut Registers, plan: &Plan, environment: u64) -> Result<(), Errno> {
        let mut strings = [plan.host.as_slice(), b"\0"].concat();
        let mut offsets = Vec::with_capacity(plan.arguments.len());
        for argument in &plan.arguments {
            offsets.push(strings.len() as u64);
            if let Argument::New(text) = argument {
                strings.extend_from_slice(text);
                strings.push(0);
            }
        }
        let base = (registers.free_stack() - strings.len() as u64) & !15;
        let mut array = Vec::with_capacity(8 * (plan.arguments.len() + 1));
        for (argument, offset) in plan.arguments.iter().zip(offsets) {
            let address = match argument {
                Argument::Given(address) => *address,
                Argument::New(_) => base + offset,
            };
            array.extend_from_slice(&address.to_ne_bytes());
        }
        array.extend_from_slice(&[0; 8]);
        let array_base = (base - array.len() as u64) & !15;
        self.memory().write_stack(base, &strings)?;
        self.memory().write_stack(array_base, &array)?;
        registers.set_number(self.caller.thread, libc::SYS_execve).map_err(|_| Errno::IO)?;
        registers.set_argument(0, base);
        registers.set_argument(1, array_base);
        registers.set_argument(2, environment);
        Ok(())
    }

    /// bind(2) and connect(2) of a local socket with a path; all others stay as they are.
    fn name_socket(&self, registers: &mut Registers, binds: bool) -> Result<Effect, Errno> {
        let length = (registers.argument(2) as u32 as usize).min(LONGEST_ADDRESS);
        let mut address = vec![0; length];
        self.memory().read(registers.argument(1), &mut address)?;
        let is_local = address.get(..2).is_some_and(|family| family == (libc::AF_UNIX as u16).to_ne_bytes());
        if !is_local || address.get(2).is_none_or(|first| *first == 0) {
            return Ok(Effect::None);
        }
        let end = address.iter().skip(2).position(|byte| *byte == 0).map_or(length, |end| end + 2);
        let path = self.world.absolute(&self.caller, libc::AT_FDCWD, &address[2..end])?;
        let host = if binds { self.new_socket(&path)? } else { self.host_path(&self.socket(&path)?)? };
        let host = if host.len() < LONGEST_SOCKET { host } else { self.shorten(&host)? };
        let address = [&(libc::AF_UNIX as u16).to_ne_bytes(), host.as_slice(), b"\0"].concat();
        registers.set_argument(2, address.len() as u64);
        self.put(registers, 1, &address)
    }

    fn socket(&self, path: &[u8]) -> Result<Found, Errno> {
        let found = self.world.find(&self.caller, path, Last::Follow)?;
        self.world.looks(&found).permit(&self.caller.process.ids(), super::owners::WRITE)?;
        Ok(found)
    }

    fn new_socket(&self, path: &[u8]) -> Result<Vec<u8>, Errno> {
        let in_use = |error| if error == Errno::EXIST { Errno::ADDRINUSE } else { error };
        let slot = self.world.slot(&self.caller, path).map_err(in_use)?;
        self.world.areas.permit_change(slot.directory.area)?;
        let want = super::owners::WRITE | super::owners::EXECUTE;
        self.world.looks(&slot.directory).permit(&self.caller.process.ids(), want)?;
        Ok([&self.host_path(&slot.directory)?, &b"/"[..], slot.name.as_bytes()].concat())
    }

    /// A path that fits into an address: through a symlink with a short name to the socket's directory.
    fn shorten(&self, host: &[u8]) -> Result<Vec<u8>, Errno> {
        let (directory, name) = split(host).ok_or(Errno::NAMETOOLONG)?;
        let link = self.scratch.link_to(std::ffi::OsStr::from_bytes(directory)).map_err(|_| Errno::NAMETOOLONG)?;
        let short = [link.as_os_str().as_bytes(), b"/", name].concat();
        if short.len() < LONGEST_SOCKET { Ok(short) } else { Err(Errno::NAMETOOLONG) }
    }
}
