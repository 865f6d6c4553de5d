//! What the command reaches of the network, where it can have no network namespace.

use std::io;
use std::net::{Ipv4Addr, TcpListener};
use std::os::fd::OwnedFd;

use rustix::io::Errno;
use rustix::net::{AddressFamily, Protocol, SocketFlags, SocketType, socket_with};

use super::{announce, proxy};
use crate::request::{Network, Secret};
use crate::sys::landlock::Ports;
use crate::sys::notify::Answer;

/// What it reaches.
pub(crate) enum Reach {
    /// Sockets between its own processes only.
    Nothing,
    /// A proxy on the host's loopback device, at a port that Landlock allows. The port alone isn't enough, as it is open on any address; so
    /// each TCP socket is made by the supervisor and tied to the loopback device, from which only CAP_NET_RAW gets it off (socket(7),
    /// SO_BINDTODEVICE).
    Proxy {
        /// Where the proxy listens.
        listener: TcpListener,
        /// Its port.
        port: u16,
        /// The hosts that it lets through.
        allowed: Vec<String>,
    },
    /// What the host reaches.
    All,
}

impl Reach {
    /// Takes a port for the proxy where there is one, and tells the command's programs of it.
    pub(crate) fn new(network: Network, environment: &mut Vec<Secret>) -> io::Result<Self> {
        match network {
            Network::None => Ok(Self::Nothing),
            Network::Host => Ok(Self::All),
            Network::Hosts(allowed) => {
                let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
                let port = listener.local_addr()?.port();
                announce(environment, port);
                Ok(Self::Proxy { listener, port, allowed })
            }
        }
    }

    /// The rule for Landlock.
    pub(crate) fn ports(&self) -> Ports {
        match self {
            Self::Proxy { port, .. } => Ports::Only(*port),
            Self::Nothing | Self::All => Ports::Any,
        }
    }

    /// Starts the proxy, in threads; so after the last fork. Sockets are made by who answers the command's other calls.
    pub(crate) fn serve_proxy(self) -> io::Result<()> {
        match self {
            Self::Proxy { listener, allowed, .. } => proxy::serve(listener, allowed),
            Self::Nothing | Self::All => Ok(()),
        }
    }
}

/// What socket(domain, type, protocol) gives. All that counts is in registers, so no other thread can change it meanwhile.
pub(crate) fn made(arguments: [u64; 6]) -> Result<Answer, Errno> {
    let [domain, kind, protocol, ..] = arguments.map(|argument| argument as u32 as i32);
    let family = match domain {
        libc::AF_INET => AddressFamily::INET,
        libc::AF_INET6 => AddressFamily::INET6,
        _ => return Err(Errno::NETUNREACH),
    };
    let flags = libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK;
    // Plain TCP only: Landlock knows nothing of the ports of MPTCP, SCTP or UDP.
    if kind & !flags != libc::SOCK_STREAM || ![0, libc::IPPROTO_TCP].contains(&protocol) {
        return Err(Errno::NETUNREACH);
    }
    let mut ours = SocketFlags::CLOEXEC;
    ours.set(SocketFlags::NONBLOCK, kind & libc::SOCK_NONBLOCK != 0);
    let file = inner_socket(family, ours)?;
    Ok(Answer::Descriptor { file, cloexec: kind & libc::SOCK_CLOEXEC != 0 })
}

/// A TCP socket that can't leave the loopback device.
fn inner_socket(family: AddressFamily, flags: SocketFlags) -> Result<OwnedFd, Errno> {
    use std::os::fd::AsRawFd;

    const LOOPBACK: &[u8] = b"lo";
    let socket = socket_with(family, SocketType::STREAM, flags, None::<Protocol>)?;
    let (name, length) = (LOOPBACK.as_ptr().cast(), LOOPBACK.len() as libc::socklen_t);
    // SAFETY: reads as many bytes as the constant has.
    let set = unsafe { libc::setsockopt(socket.as_raw_fd(), libc::SOL_SOCKET, libc::SO_BINDTODEVICE, name, length) };
    if set == 0 { Ok(socket) } else { Err(Errno::from_io_error(&io::Error::last_os_error()).unwrap_or(Errno::PERM)) }
}
