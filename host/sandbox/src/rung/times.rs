//! Calls that set times of files: utimensat(2), and the older utimes(2), futimesat(2) and utime(2), which write times down otherwise.

use std::os::fd::{AsRawFd, BorrowedFd};

use libc::{c_long, timespec};
use rustix::io::Errno;

use super::memory::last_error;

/// Of the last access, and of the last change.
pub(super) type Times = [timespec; 2];

/// The older calls with the path first.
pub(super) const PATH_FIRST: &[c_long] = &[
    #[cfg(target_arch = "x86_64")]
    libc::SYS_utime,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_utimes,
];

/// The calls with a directory's descriptor first.
pub(super) const DIRECTORY_FIRST: &[c_long] = &[
    libc::SYS_utimensat,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_futimesat,
];

/// Whether a call sets times of files.
pub(super) fn sets(number: c_long) -> bool {
    PATH_FIRST.contains(&number) || DIRECTORY_FIRST.contains(&number)
}

/// The times of a call, at this address of its caller's memory. `read` fills a buffer from there.
///
/// # Errors
/// Of the reader.
pub(super) fn given(
    number: c_long,
    address: u64,
    read: impl FnOnce(&mut [u8]) -> Result<(), Errno>,
) -> Result<Times, Errno> {
    let time = |seconds: u64, rest: u64| timespec { tv_sec: seconds as i64, tv_nsec: rest as i64 };
    if address == 0 {
        return Ok([time(0, libc::UTIME_NOW as u64); 2]);
    }
    let in_seconds = is_utime(number);
    let mut words = [[0; 8]; 4];
    read(words[..if in_seconds { 2 } else { 4 }].as_flattened_mut())?;
    let [a, b, c, d] = words.map(u64::from_ne_bytes);
    // No number of microseconds becomes UTIME_NOW or UTIME_OMIT, which aren't multiples of 8.
    let unit = if number == libc::SYS_utimensat { 1 } else { 1000 };
    Ok(match in_seconds {
        true => [time(a, 0), time(b, 0)],
        false => [time(a, b.wrapping_mul(unit)), time(c, d.wrapping_mul(unit))],
    })
}

/// Sets times of what is open, with O_PATH too, as far as this thread may.
///
/// # Errors
/// The kernel's.
pub(super) fn set(file: BorrowedFd<'_>, times: &Times) -> Result<(), Errno> {
    // SAFETY: an open file, an empty name with its NUL, two live times.
    let result = unsafe { libc::utimensat(file.as_raw_fd(), c"".as_ptr(), times.as_ptr(), libc::AT_EMPTY_PATH) };
    if result < 0 { Err(last_error()) } else { Ok(()) }
}

#[cfg(target_arch = "x86_64")]
fn is_utime(number: c_long) -> bool {
    number == libc::SYS_utime
}

#[cfg(not(target_arch = "x86_64"))]
fn is_utime(_: c_long) -> bool {
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(number: c_long, words: [u64; 4]) -> [(i64, i64); 2] {
        let fill = |buffer: &mut [u8]| {
            let bytes = words.map(u64::to_ne_bytes);
            buffer.copy_from_slice(&bytes.as_flattened()[..buffer.len()]);
            Ok(())
        };
        given(number, 1, fill).expect("readable").map(|time| (time.tv_sec, time.tv_nsec))
    }

    #[test]
    fn each_call_has_its_units() {
        assert_eq!(read(libc::SYS_utimensat, [1, 2, 3, libc::UTIME_OMIT as u64]), [(1, 2), (3, libc::UTIME_OMIT)]);
        #[cfg(target_arch = "x86_64")]
        {
            assert_eq!(read(libc::SYS_utimes, [1, 2, 3, 4]), [(1, 2000), (3, 4000)]);
            assert_eq!(read(libc::SYS_utime, [1, 2, 3, 4]), [(1, 0), (2, 0)]);
        }
        let now = given(libc::SYS_utimensat, 0, |_| Err(Errno::FAULT)).expect("nothing is read");
        assert_eq!(now.map(|time| time.tv_nsec), [libc::UTIME_NOW; 2]);
    }
}
