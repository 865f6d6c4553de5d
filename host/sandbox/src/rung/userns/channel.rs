//! What process 1 tells the supervisor. Messages go one way, each whole, one of them with a descriptor.

use std::io;
use std::net::TcpListener;
use std::os::fd::AsFd;

use serde::{Deserialize, Serialize};

use crate::request::Exit;
use crate::sys::packet::Packets;

/// The longest message: a reason with a path in it. Longer reasons are cut.
const LONGEST: usize = 8 << 10;

/// A message.
#[derive(Debug)]
pub(super) enum Message {
    /// A socket in the command's network namespace, for the proxy.
    Listener(TcpListener),
    /// The command could not be started: a sentence for people.
    Failed(String),
    /// The command ended.
    Ended(Exit),
}

/// A message on its way; a listener's descriptor goes beside it.
#[derive(Serialize, Deserialize)]
enum Wire {
    Listener,
    Failed(String),
    Ended(Exit),
}

/// An end of the channel. It is closed by execve.
#[derive(Debug)]
pub(super) struct Channel(Packets);

impl Channel {
    /// Both ends.
    pub(super) fn pair() -> io::Result<(Self, Self)> {
        let (left, right) = Packets::pair()?;
        Ok((Self(left), Self(right)))
    }

    /// Sends a message.
    pub(super) fn send(&self, message: Message) -> io::Result<()> {
        let (wire, listener) = match message {
            Message::Listener(listener) => (Wire::Listener, Some(listener)),
            Message::Failed(mut reason) => {
                reason.truncate(reason.floor_char_boundary(LONGEST - 16));
                (Wire::Failed(reason), None)
            }
            Message::Ended(exit) => (Wire::Ended(exit), None),
        };
        let bytes = postcard::to_allocvec(&wire).map_err(io::Error::other)?;
        self.0.send(&bytes, listener.as_ref().map(AsFd::as_fd))
    }

    /// Waits for a message; none when the other end is closed.
    pub(super) fn receive(&self) -> io::Result<Option<Message>> {
        let Some((bytes, descriptor)) = self.0.receive(LONGEST)? else { return Ok(None) };
        let wire = postcard::from_bytes(&bytes).map_err(io::Error::other)?;
        Ok(Some(match (wire, descriptor) {
            (Wire::Listener, Some(descriptor)) => Message::Listener(descriptor.into()),
            (Wire::Listener, None) => return Err(io::ErrorKind::InvalidData.into()),
            (Wire::Failed(reason), _) => Message::Failed(reason),
            (Wire::Ended(exit), _) => Message::Ended(exit),
        }))
    }

    /// Whether nobody holds the other end any more.
    pub(super) fn is_orphaned(&self) -> bool {
        self.0.is_orphaned()
    }

    /// The descriptor's number.
    pub(super) fn number(&self) -> u32 {
        self.0.number()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_arrive_whole() {
        let (here, there) = Channel::pair().expect("a pair");
        let listener = TcpListener::bind("127.0.0.1:0").expect("loopback");
        let address = listener.local_addr().expect("bound");
        there.send(Message::Listener(listener)).expect("sent");
        there.send(Message::Failed("ä".repeat(LONGEST))).expect("cut");
        there.send(Message::Ended(Exit::Signal(9))).expect("sent");
        assert!(!there.is_orphaned());
        let Ok(Some(Message::Listener(listener))) = here.receive() else { panic!("a listener") };
        assert_eq!(listener.local_addr().expect("bound"), address);
        assert!(matches!(here.receive(), Ok(Some(Message::Failed(reason))) if reason.starts_with('ä')));
        assert!(matches!(here.receive(), Ok(Some(Message::Ended(Exit::Signal(9))))));
        drop(there);
        assert!(matches!(here.receive(), Ok(None)));
        assert!(here.is_orphaned());
    }
}
