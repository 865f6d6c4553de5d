//! Registers of a thread that stands at a system call (ptrace(2), "Syscall-stops"), for both architectures.

use std::io;

use crate::sys::check;

/// The set that ptrace calls NT_PRSTATUS.
const GENERAL: libc::c_int = 1;

/// General registers.
#[derive(Clone, Copy)]
pub(super) struct Registers(libc::user_regs_struct);

impl Registers {
    /// Those of a stopped thread.
    pub(super) fn read(thread: i32) -> io::Result<Self> {
        // SAFETY: all bits zero are a valid value of this plain structure.
        let mut registers: libc::user_regs_struct = unsafe { std::mem::zeroed() };
        exchange(libc::PTRACE_GETREGSET, thread, GENERAL, &mut registers)?;
        Ok(Self(registers))
    }

    /// Makes them those of the thread.
    pub(super) fn write(&self, thread: i32) -> io::Result<()> {
        exchange(libc::PTRACE_SETREGSET, thread, GENERAL, &mut { self.0 })
    }
}

#[cfg(target_arch = "x86_64")]
impl Registers {
    /// The system call.
    pub(super) fn number(&self, _thread: i32) -> io::Result<libc::c_long> {
        Ok(self.0.orig_rax as libc::c_long)
    }

    /// An argument of the system call, of the first four.
    pub(super) fn argument(&self, index: usize) -> u64 {
        [self.0.rdi, self.0.rsi, self.0.rdx, self.0.r10][index]
    }

    /// Sets one.
    pub(super) fn set_argument(&mut self, index: usize, value: u64) {
        *[&mut self.0.rdi, &mut self.0.rsi, &mut self.0.rdx, &mut self.0.r10][index] = value;
    }

    /// Where free stack begins: below what the ABI lets functions use without saying so (the red zone of 128 bytes).
    pub(super) fn free_stack(&self) -> u64 {
        self.0.rsp - 128
    }

    /// Has another system call done.
    pub(super) fn set_number(&mut self, _thread: i32, number: libc::c_long) -> io::Result<()> {
        self.0.orig_rax = number as u64;
        Ok(())
    }

    /// Has none done, and this be the result.
    pub(super) fn skip(&mut self, thread: i32, result: i64) -> io::Result<()> {
        self.0.rax = result as u64;
        self.set_number(thread, -1)
    }

    /// After the call: arguments as they were before. The result stays.
    pub(super) fn restore(&mut self, before: &Self) {
        (self.0.rdi, self.0.rsi, self.0.rdx, self.0.r10) = (before.0.rdi, before.0.rsi, before.0.rdx, before.0.r10);
    }
}

#[cfg(target_arch = "aarch64")]
impl Registers {
    /// The system call.
    pub(super) fn number(&self, _thread: i32) -> io::Result<libc::c_long> {
        Ok(self.0.regs[8] as libc::c_long)
    }

    /// An argument of the system call, of the first four.
    pub(super) fn argument(&self, index: usize) -> u64 {
        self.0.regs[index]
    }

    /// Sets one.
    pub(super) fn set_argument(&mut self, index: usize, value: u64) {
        self.0.regs[index] = value;
    }

    /// Where free stack begins.
    pub(super) fn free_stack(&self) -> u64 {
        self.0.sp - 128
    }

    /// Has another system call done: the number is in a set of its own (NT_ARM_SYSTEM_CALL).
    pub(super) fn set_number(&mut self, thread: i32, number: libc::c_long) -> io::Result<()> {
        const SYSTEM_CALL: libc::c_int = 0x404;
        exchange(libc::PTRACE_SETREGSET, thread, SYSTEM_CALL, &mut (number as i32))
    }

    /// Has none done, and this be the result.
    pub(super) fn skip(&mut self, thread: i32, result: i64) -> io::Result<()> {
        self.0.regs[0] = result as u64;
        self.set_number(thread, -1)
    }

    /// After the call: arguments as they were before, but for the first, whose register holds the result.
    pub(super) fn restore(&mut self, before: &Self) {
        self.0.regs[1..4].copy_from_slice(&before.0.regs[1..4]);
    }
}

fn exchange<T>(request: libc::c_uint, thread: i32, set: libc::c_int, registers: &mut T) -> io::Result<()> {
    let mut vector = libc::iovec { iov_base: std::ptr::from_mut(registers).cast(), iov_len: size_of::<T>() };
    // SAFETY: the vector is of a live structure with the size it says; the kernel reads or writes no more.
    check(unsafe { libc::ptrace(request, thread, set as usize, &raw mut vector) })?;
    Ok(())
}
