//! Messages between two processes, each whole, with at most one descriptor beside it (unix(7), SOCK_SEQPACKET).

use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};

use rustix::event::{PollFd, PollFlags, poll};
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage,
    SendFlags, SocketFlags, SocketType, recvmsg, sendmsg, socketpair,
};

/// One of two ends. It is closed by execve.
#[derive(Debug)]
pub(crate) struct Packets(OwnedFd);

impl Packets {
    /// Both ends.
    pub(crate) fn pair() -> io::Result<(Self, Self)> {
        let (left, right) = socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)?;
        Ok((Self(left), Self(right)))
    }

    /// Sends a message, which isn't empty: that would be taken for the end.
    ///
    /// # Errors
    /// EPIPE where nobody holds the other end.
    pub(crate) fn send(&self, bytes: &[u8], descriptor: Option<BorrowedFd<'_>>) -> io::Result<()> {
        let descriptors: Vec<_> = descriptor.into_iter().collect();
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut beside = SendAncillaryBuffer::new(&mut space);
        if !descriptors.is_empty() {
            beside.push(SendAncillaryMessage::ScmRights(&descriptors));
        }
        sendmsg(&self.0, &[IoSlice::new(bytes)], &mut beside, SendFlags::NOSIGNAL)?;
        Ok(())
    }

    /// Waits for a message of at most `longest` bytes; longer ones are cut. None when the other end is closed.
    ///
    /// # Errors
    /// The kernel's.
    pub(crate) fn receive(&self, longest: usize) -> io::Result<Option<(Vec<u8>, Option<OwnedFd>)>> {
        let mut bytes = vec![0; longest];
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut beside = RecvAncillaryBuffer::new(&mut space);
        let length = loop {
            match recvmsg(&self.0, &mut [IoSliceMut::new(&mut bytes)], &mut beside, RecvFlags::CMSG_CLOEXEC) {
                Err(rustix::io::Errno::INTR) => {}
                received => break received?.bytes,
            }
        };
        if length == 0 {
            return Ok(None);
        }
        let descriptor = beside.drain().find_map(|message| match message {
            RecvAncillaryMessage::ScmRights(mut descriptors) => descriptors.next(),
            _ => None,
        });
        bytes.truncate(length);
        Ok(Some((bytes, descriptor)))
    }

    /// Whether nobody holds the other end any more.
    pub(crate) fn is_orphaned(&self) -> bool {
        let mut watched = [PollFd::new(&self.0, PollFlags::empty())];
        let at_once = rustix::event::Timespec { tv_sec: 0, tv_nsec: 0 };
        poll(&mut watched, Some(&at_once)).is_ok() && watched[0].revents().contains(PollFlags::HUP)
    }

    /// The descriptor's number.
    pub(crate) fn number(&self) -> u32 {
        self.0.as_raw_fd().unsigned_abs()
    }
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsFd;

    use super::*;

    #[test]
    fn messages_arrive_whole() {
        let (here, there) = Packets::pair().expect("a pair");
        let (read, write) = rustix::pipe::pipe().expect("a pipe");
        there.send(b"with", Some(read.as_fd())).expect("sent");
        there.send(b"too long", None).expect("sent");
        assert!(!there.is_orphaned());
        let (bytes, descriptor) = here.receive(9).expect("received").expect("open");
        rustix::io::write(&write, b"x").expect("room");
        assert_eq!(rustix::io::read(descriptor.expect("handed over"), &mut [0]), Ok(1));
        assert_eq!(bytes, b"with");
        assert_eq!(here.receive(3).expect("received").expect("open").0, b"too");
        drop(there);
        assert!(here.receive(9).expect("the end").is_none() && here.is_orphaned());
    }
}
