//! Seccomp filters: rules by system call and argument, assembled to classic BPF (seccomp(2), Documentation/userspace-api/seccomp_filter.rst).

use std::collections::BTreeMap;
use std::io;
use std::os::fd::{FromRawFd, OwnedFd};

use super::check;

/// Most instructions of a program: BPF_MAXINSNS of linux/bpf_common.h.
const MOST_INSTRUCTIONS: usize = 4096;
/// Numbers from here on are of the x32 interface, which shares the audit architecture of x86-64 (__X32_SYSCALL_BIT).
#[cfg(target_arch = "x86_64")]
const X32: u32 = 0x4000_0000;
/// The audit architecture of this machine's native system calls (linux/audit.h): ELF machine, 64-bit, little-endian.
#[cfg(target_arch = "x86_64")]
const NATIVE: u32 = 0xC000_003E;
#[cfg(target_arch = "aarch64")]
const NATIVE: u32 = 0xC000_00B7;

/// Offsets in `struct seccomp_data`.
const OFFSET_NUMBER: u32 = 0;
const OFFSET_ARCHITECTURE: u32 = 4;
const OFFSET_ARGUMENTS: u32 = 16;

/// What happens to a system call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Action {
    /// It is done by the kernel.
    Allow,
    /// It is not done and gives this error number; 0 pretends success.
    Errno(u16),
    /// The holder of the filter's listener does it, see [`super::notify`].
    Notify,
    /// The tracer of the thread changes it; ENOSYS without one.
    Trace,
}

impl Action {
    /// The filter's return value.
    fn value(self) -> u32 {
        match self {
            Self::Allow => libc::SECCOMP_RET_ALLOW,
            Self::Errno(number) => libc::SECCOMP_RET_ERRNO | u32::from(number),
            Self::Notify => libc::SECCOMP_RET_USER_NOTIF,
            Self::Trace => libc::SECCOMP_RET_TRACE,
        }
    }
}

/// A test of an argument's low 32 bits: the kernel looks at no more of what it takes as `int`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Argument {
    /// Which one, 0 to 5.
    pub(crate) index: u8,
    /// The bits that count.
    pub(crate) mask: u32,
    /// What they must be.
    pub(crate) value: u32,
}

/// Rules for one system call, in the order they were given.
#[derive(Debug, Default)]
struct Rules {
    tested: Vec<(Argument, Action)>,
    otherwise: Option<Action>,
}

/// A filter. What no rule names is allowed. The order of system calls does not matter; of one call's rules with a test the first that holds
/// wins, before the one without.
#[derive(Debug)]
pub(crate) struct Filter {
    foreign: Action,
    rules: BTreeMap<u32, Rules>,
}

impl Filter {
    /// A filter without rules. `foreign` is for system calls of other architectures (i386, x32, 32-bit Arm), whose numbers mean other calls.
    pub(crate) fn new(foreign: Action) -> Self {
        Self { foreign, rules: BTreeMap::new() }
    }

    /// All of these system calls (`libc::SYS_*`). The last rule for a number holds.
    pub(crate) fn on(mut self, numbers: &[libc::c_long], action: Action) -> Self {
        for number in numbers {
            self.rules.entry(*number as u32).or_default().otherwise = Some(action);
        }
        self
    }

    /// A system call where an argument passes a test.
    pub(crate) fn on_argument(mut self, number: libc::c_long, argument: Argument, action: Action) -> Self {
        self.rules.entry(number as u32).or_default().tested.push((argument, action));
        self
    }

    /// Puts the filter in force for the calling thread and all that descends from it. The thread has no_new_privs set or CAP_SYS_ADMIN.
    ///
    /// # Errors
    /// [`io::ErrorKind::InvalidInput`] for a filter that is too long; the kernel's.
    pub(crate) fn install(&self) -> io::Result<()> {
        self.load(0).map(|_| ())
    }

    /// [`install`](Self::install), and the descriptor at which calls with [`Action::Notify`] arrive. Only a fatal signal interrupts a call that
    /// was received, where the kernel can (5.19). One listener is possible in a chain of filters, else EBUSY.
    ///
    /// # Errors
    /// As `install`.
    pub(crate) fn install_with_listener(&self) -> io::Result<OwnedFd> {
        const LISTENER: libc::c_ulong = libc::SECCOMP_FILTER_FLAG_NEW_LISTENER;
        let fd = match self.load(LISTENER | libc::SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV) {
            Err(error) if error.raw_os_error() == Some(libc::EINVAL) => self.load(LISTENER)?,
            other => other?,
        };
        // SAFETY: the kernel has made this descriptor for us just now.
        Ok(unsafe { OwnedFd::from_raw_fd(fd as i32) })
    }

    fn load(&self, flags: libc::c_ulong) -> io::Result<libc::c_long> {
        let mut program = self.assemble()?;
        let header = libc::sock_fprog { len: program.len() as u16, filter: program.as_mut_ptr() };
        // SAFETY: the header and the program that it points to outlive the call, which reads them only.
        check(unsafe { libc::syscall(libc::SYS_seccomp, libc::SECCOMP_SET_MODE_FILTER, flags, &raw const header) })
    }

    /// The program. Of each block only the first instruction jumps out of it, over all of it.
    fn assemble(&self) -> io::Result<Vec<libc::sock_filter>> {
        let mut program = vec![load(OFFSET_ARCHITECTURE), if_equal(NATIVE, 1, 0), give(self.foreign)];
        program.push(load(OFFSET_NUMBER));
        #[cfg(target_arch = "x86_64")]
        program.extend([if_at_least(X32, 0, 1), give(self.foreign)]);
        for (number, rules) in &self.rules {
            let body = rules.assemble()?;
            program.push(if_equal(*number, 0, distance(body.len())?));
            program.extend(body);
        }
        program.push(give(Action::Allow));
        if program.len() > MOST_INSTRUCTIONS {
            return Err(too_long());
        }
        Ok(program)
    }
}

impl Rules {
    /// What is done once the number is known to match. Always ends the program.
    fn assemble(&self) -> io::Result<Vec<libc::sock_filter>> {
        let mut body = Vec::new();
        for (Argument { index, mask, value }, action) in &self.tested {
            if *index > 5 {
                return Err(io::Error::new(io::ErrorKind::InvalidInput, "a system call has six arguments"));
            }
            // The low half comes first: both architectures are little-endian.
            body.push(load(OFFSET_ARGUMENTS + 8 * u32::from(*index)));
            body.push(statement(libc::BPF_ALU | libc::BPF_AND | libc::BPF_K, *mask));
            body.push(if_equal(*value & *mask, 0, 1));
            body.push(give(*action));
        }
        body.push(give(self.otherwise.unwrap_or(Action::Allow)));
        Ok(body)
    }
}

/// How far a conditional jump goes: eight bits.
fn distance(instructions: usize) -> io::Result<u8> {
    u8::try_from(instructions).map_err(|_| too_long())
}

fn too_long() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, "a system call filter is longer than the kernel takes")
}

fn statement(code: u32, k: u32) -> libc::sock_filter {
    libc::sock_filter { code: code as u16, jt: 0, jf: 0, k }
}

fn load(offset: u32) -> libc::sock_filter {
    statement(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, offset)
}

fn give(action: Action) -> libc::sock_filter {
    statement(libc::BPF_RET | libc::BPF_K, action.value())
}

fn if_equal(value: u32, then: u8, otherwise: u8) -> libc::sock_filter {
    libc::sock_filter { code: (libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K) as u16, jt: then, jf: otherwise, k: value }
}

#[cfg(target_arch = "x86_64")]
fn if_at_least(value: u32, then: u8, otherwise: u8) -> libc::sock_filter {
    libc::sock_filter { code: (libc::BPF_JMP | libc::BPF_JGE | libc::BPF_K) as u16, jt: then, jf: otherwise, k: value }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the kernel's interpreter would return: the few instructions that are assembled here.
    fn interpret(program: &[libc::sock_filter], architecture: u32, number: u32, arguments: [u64; 6]) -> u32 {
        let (mut at, mut accumulator) = (0, 0);
        loop {
            let step = program[at];
            at += 1;
            match u32::from(step.code) {
                code if code == libc::BPF_LD | libc::BPF_W | libc::BPF_ABS => {
                    accumulator = match step.k {
                        0 => number,
                        4 => architecture,
                        offset => arguments[(offset as usize - 16) / 8] as u32,
                    }
                }
                code if code == libc::BPF_ALU | libc::BPF_AND | libc::BPF_K => accumulator &= step.k,
                code if code == libc::BPF_RET | libc::BPF_K => return step.k,
                code => {
                    let holds = match code & 0xf0 {
                        libc::BPF_JEQ => accumulator == step.k,
                        _ => accumulator >= step.k,
                    };
                    at += usize::from(if holds { step.jt } else { step.jf });
                }
            }
        }
    }

    fn example() -> Filter {
        Filter::new(Action::Errno(38))
            .on(&[10, 20], Action::Notify)
            .on_argument(30, Argument { index: 1, mask: 0xf, value: 2 }, Action::Errno(1))
            .on_argument(30, Argument { index: 0, mask: !0, value: 7 }, Action::Trace)
            .on_argument(40, Argument { index: 5, mask: !0, value: 1 }, Action::Allow)
            .on(&[40], Action::Errno(13))
    }

    #[test]
    fn rules_decide() {
        let program = example().assemble().expect("short");
        let errno = |number: u32| libc::SECCOMP_RET_ERRNO | number;
        let table = [
            (NATIVE, 10, [0; 6], libc::SECCOMP_RET_USER_NOTIF),
            (NATIVE, 20, [9; 6], libc::SECCOMP_RET_USER_NOTIF),
            (NATIVE, 11, [0; 6], libc::SECCOMP_RET_ALLOW),
            (NATIVE, 30, [7, 0xff2, 0, 0, 0, 0], errno(1)),
            (NATIVE, 30, [7, 3, 0, 0, 0, 0], libc::SECCOMP_RET_TRACE),
            (NATIVE, 30, [8, 3, 0, 0, 0, 0], libc::SECCOMP_RET_ALLOW),
            (NATIVE, 40, [0, 0, 0, 0, 0, 1], libc::SECCOMP_RET_ALLOW),
            (NATIVE, 40, [0; 6], errno(13)),
            (0x4000_0003, 10, [0; 6], errno(38)),
        ];
        for (architecture, number, arguments, result) in table {
            assert_eq!(interpret(&program, architecture, number, arguments), result, "{architecture:x} {number}");
        }
        #[cfg(target_arch = "x86_64")]
        assert_eq!(interpret(&program, NATIVE, X32 + 10, [0; 6]), errno(38), "x32");
    }

    #[test]
    fn too_many_rules_are_refused() {
        let many = (0..3000).collect::<Vec<_>>();
        assert!(Filter::new(Action::Allow).on(&many, Action::Notify).assemble().is_err());
        let tests = (0..70).fold(Filter::new(Action::Allow), |filter, value| {
            filter.on_argument(1, Argument { index: 0, mask: !0, value }, Action::Notify)
        });
        assert!(tests.assemble().is_err(), "a jump of more than 255 instructions");
    }

    #[test]
    fn the_kernel_obeys() {
        let thread = std::thread::spawn(|| {
            // SAFETY: sets a flag of this thread.
            unsafe { libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) };
            let test = Argument { index: 0, mask: !0, value: 77 };
            Filter::new(Action::Allow)
                .on_argument(libc::SYS_umask, test, Action::Errno(5))
                .install()
                .expect("a filter");
            // SAFETY: takes numbers.
            let refused = unsafe { libc::syscall(libc::SYS_umask, 77) };
            let error = io::Error::last_os_error().raw_os_error();
            // SAFETY: as above.
            (refused, error, unsafe { libc::syscall(libc::SYS_umask, 0o22) } >= 0)
        });
        assert_eq!(thread.join().expect("no panic"), (-1, Some(5), true));
    }
}
