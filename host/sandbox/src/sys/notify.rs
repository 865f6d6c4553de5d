//! System calls that a seccomp filter hands to this process (seccomp_unotify(2)).

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use rustix::io::Errno;

use super::check;

/// The waker and the woken share a CPU, as one of them waits always: a stat takes 23 us with it, 67 us without (SECCOMP_USER_NOTIF_FD_SYNC_WAKE_UP, 6.6).
const SYNC_WAKE_UP: u64 = 1;

/// The end of a filter at which its calls arrive.
#[derive(Debug)]
pub(crate) struct Listener {
    descriptor: OwnedFd,
    /// Bytes of the kernel's `struct seccomp_notif`, which may grow.
    size: usize,
}

/// A call that waits for its answer.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Call {
    /// Names it.
    pub(crate) id: u64,
    /// The thread that waits, in this process' PID namespace.
    pub(crate) thread: i32,
    /// `libc::SYS_*`.
    pub(crate) number: libc::c_long,
    /// As in registers: of an `int` only the low half counts.
    pub(crate) arguments: [u64; 6],
}

/// What a call gives.
#[derive(Debug)]
pub(crate) enum Answer {
    /// This value.
    Value(i64),
    /// This error.
    Error(Errno),
    /// A new descriptor of the caller for this file, whose number is the call's value.
    Descriptor {
        /// The file; closed here afterwards.
        file: OwnedFd,
        /// Whether it is closed by execve.
        cloexec: bool,
    },
    /// The kernel does the call, and reads memory at the caller's pointers again: another thread may have changed it. Nothing may rest on what was
    /// read there.
    Continue,
}

/// Room for one call. Each thread that receives has one, so that nothing is allocated for a call.
#[derive(Debug)]
pub(crate) struct Buffer(Vec<u64>);

impl Listener {
    /// Takes the descriptor that [`super::bpf::Filter::install_with_listener`] gave.
    ///
    /// # Errors
    /// The kernel's, of its sizes; that it doesn't know the wake-up flag is none.
    pub(crate) fn new(descriptor: OwnedFd) -> io::Result<Self> {
        let mut sizes = libc::seccomp_notif_sizes { seccomp_notif: 0, seccomp_notif_resp: 0, seccomp_data: 0 };
        // SAFETY: the kernel fills in the structure, which is of the size it knows.
        check(unsafe { libc::syscall(libc::SYS_seccomp, libc::SECCOMP_GET_NOTIF_SIZES, 0, &raw mut sizes) })?;
        // SAFETY: takes a number; kernels before 6.6 say EINVAL, and work slower.
        unsafe { libc::ioctl(descriptor.as_raw_fd(), libc::SECCOMP_IOCTL_NOTIF_SET_FLAGS as _, SYNC_WAKE_UP) };
        Ok(Self { descriptor, size: usize::from(sizes.seccomp_notif).max(size_of::<libc::seccomp_notif>()) })
    }

    /// Room for a call of this listener.
    pub(crate) fn buffer(&self) -> Buffer {
        Buffer(vec![0; self.size.div_ceil(8)])
    }

    /// Waits for a call. None where no process is left that could make one: kernels from 6.11 on say so here, older ones only to poll(2).
    ///
    /// # Errors
    /// The kernel's, which mean an end too.
    pub(crate) fn receive(&self, buffer: &mut Buffer) -> io::Result<Option<Call>> {
        loop {
            // The kernel wants all of it zero.
            buffer.0.fill(0);
            let place = buffer.0.as_mut_ptr();
            // SAFETY: the buffer has the size that the kernel names, and the alignment of the structure.
            match check(unsafe { libc::ioctl(self.raw(), libc::SECCOMP_IOCTL_NOTIF_RECV as _, place) }.into()) {
                Ok(_) => {
                    // SAFETY: the buffer is at least as large as the structure, aligned, and all bits are valid.
                    let call = unsafe { place.cast::<libc::seccomp_notif>().read() };
                    let (thread, number) = (call.pid as i32, call.data.nr.into());
                    return Ok(Some(Call { id: call.id, thread, number, arguments: call.data.args }));
                }
                Err(error) => match error.raw_os_error() {
                    // A signal, or the caller was killed before its call was read.
                    Some(libc::EINTR) => {}
                    Some(libc::ENOENT) if self.is_over() => return Ok(None),
                    Some(libc::ENOENT) => {}
                    _ => return Err(error),
                },
            }
        }
    }

    /// Whether the caller still waits. What was opened of it by its number before is its own then, and no other process's.
    pub(crate) fn is_waiting(&self, call: &Call) -> bool {
        // SAFETY: reads the number, which outlives the call.
        unsafe { libc::ioctl(self.raw(), libc::SECCOMP_IOCTL_NOTIF_ID_VALID as _, &raw const call.id) == 0 }
    }

    /// Ends a call. A caller that was killed in the meantime needs no answer, which is no error.
    pub(crate) fn answer(&self, call: &Call, answer: Answer) {
        match answer {
            Answer::Value(value) => self.send(call.id, value, 0, 0),
            Answer::Error(error) => self.send(call.id, 0, -error.raw_os_error(), 0),
            Answer::Continue => self.send(call.id, 0, 0, libc::SECCOMP_USER_NOTIF_FLAG_CONTINUE as u32),
            Answer::Descriptor { file, cloexec } => {
                // Installed and answered in one step, so that a killed caller leaves nothing half done (5.14).
                if let Err(error) = self.add_and_send(call, file.as_fd(), cloexec)
                    && error != Errno::NOENT
                {
                    self.send(call.id, 0, -error.raw_os_error(), 0);
                }
            }
        }
    }

    fn add_and_send(&self, call: &Call, file: BorrowedFd<'_>, cloexec: bool) -> Result<(), Errno> {
        let request = libc::seccomp_notif_addfd {
            id: call.id,
            flags: libc::SECCOMP_ADDFD_FLAG_SEND as u32,
            srcfd: file.as_raw_fd() as u32,
            newfd: 0,
            newfd_flags: if cloexec { libc::O_CLOEXEC as u32 } else { 0 },
        };
        // SAFETY: reads the structure, which outlives the call.
        let number = unsafe { libc::ioctl(self.raw(), libc::SECCOMP_IOCTL_NOTIF_ADDFD as _, &raw const request) };
        if number < 0 { Err(last_error()) } else { Ok(()) }
    }

    fn send(&self, id: u64, val: i64, error: i32, flags: u32) {
        let response = libc::seccomp_notif_resp { id, val, error, flags };
        // SAFETY: reads the structure, which outlives the call. It fails only where nobody waits any more.
        unsafe { libc::ioctl(self.raw(), libc::SECCOMP_IOCTL_NOTIF_SEND as _, &raw const response) };
    }

    fn is_over(&self) -> bool {
        let mut watched = [rustix::event::PollFd::new(&self.descriptor, rustix::event::PollFlags::empty())];
        let now = rustix::event::Timespec { tv_sec: 0, tv_nsec: 0 };
        rustix::event::poll(&mut watched, Some(&now)).is_ok_and(|count| count > 0)
    }

    fn raw(&self) -> i32 {
        self.descriptor.as_raw_fd()
    }
}

/// The error number of the call before.
fn last_error() -> Errno {
    Errno::from_io_error(&io::Error::last_os_error()).unwrap_or(Errno::IO)
}

#[cfg(test)]
mod tests {
    use super::super::bpf::{Action, Filter};
    use super::*;
    use std::os::fd::FromRawFd;

    /// A thread with a filter makes three calls; this one answers them.
    #[test]
    fn calls_are_answered() {
        let (send, receive) = std::sync::mpsc::channel();
        let caller = std::thread::spawn(move || {
            // SAFETY: sets a flag of this thread.
            unsafe { libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) };
            let filter = Filter::new(Action::Allow).on(&[libc::SYS_getppid, libc::SYS_umask], Action::Notify);
            send.send(filter.install_with_listener().expect("a listener")).expect("a receiver");
            // SAFETY: takes numbers.
            let results = unsafe { [libc::syscall(libc::SYS_getppid), libc::syscall(libc::SYS_umask, 5)] };
            let error = io::Error::last_os_error().raw_os_error();
            // SAFETY: as above; the result is a descriptor that nobody else has.
            let file = unsafe { OwnedFd::from_raw_fd(libc::syscall(libc::SYS_getppid) as i32) };
            let mut text = [0; 3];
            let length = rustix::io::read(&file, &mut text).expect("readable");
            (results, error, text[..length].to_vec())
        });
        let listener = Listener::new(receive.recv().expect("sent")).expect("sizes");
        let mut buffer = listener.buffer();
        let mut next = || listener.receive(&mut buffer).expect("a call").expect("the caller lives");
        let call = next();
        assert_eq!(call.number, libc::SYS_getppid);
        listener.answer(&call, Answer::Value(1 << 33));
        let call = next();
        assert_eq!(call.arguments[0], 5);
        listener.answer(&call, Answer::Error(Errno::XDEV));
        let call = next();
        let (read, write) = rustix::pipe::pipe().expect("a pipe");
        rustix::io::write(&write, b"abc").expect("room");
        listener.answer(&call, Answer::Descriptor { file: read, cloexec: true });
        assert_eq!(caller.join().expect("no panic"), ([1 << 33, -1], Some(libc::EXDEV), b"abc".to_vec()));
    }
}
