//! A proxy for HTTP that knows which hosts may be reached (RFC 9110, 3.7 and 9.3.6): `CONNECT host:port`, and requests with a whole URL.
//!
//! The command gives names only. They are resolved here, and what they resolve to is checked, so that an allowed name can't be pointed at
//! the cloud's metadata service or at the host itself.

mod head;
mod rule;

use std::io::{self, Read, Write};
use std::net::{IpAddr, Shutdown, SocketAddr, TcpListener, TcpStream, ToSocketAddrs};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use head::{Head, Unreadable};
use rule::Rule;

/// Connections at the same time: each takes two threads.
const MOST_CONNECTIONS: usize = 128;
/// How long a connection may carry nothing before it is cut: up to twice as long.
const IDLE: Duration = Duration::from_secs(300);
/// How long a host may take to answer.
const CONNECTING: Duration = Duration::from_secs(30);
/// A thread copies bytes and keeps two buffers.
const STACK: usize = 256 << 10;

/// Serves a listener in a thread of its own, which ends with the process. `allowed` holds hosts and suffixes, see [`Rule`].
///
/// # Errors
/// [`io::ErrorKind::InvalidInput`] names a rule that can't be read; the kernel's, where it gives no thread.
pub(crate) fn serve(listener: TcpListener, allowed: Vec<String>) -> io::Result<()> {
    let rules: Arc<[Rule]> = allowed.iter().map(|rule| rule.parse()).collect::<io::Result<_>>()?;
    let connections = Arc::new(AtomicUsize::new(0));
    thread(move || {
        for client in listener.incoming() {
            let Ok(client) = client else { continue };
            let Some(slot) = Slot::take(&connections) else {
                let _ = refuse(&client, 503, "the proxy has as many connections as it takes");
                continue;
            };
            let rules = rules.clone();
            let _ = thread(move || {
                let _ = connection(client, &rules);
                drop(slot);
            });
        }
    })
}

fn thread(job: impl FnOnce() + Send + 'static) -> io::Result<()> {
    std::thread::Builder::new().name("proxy".into()).stack_size(STACK).spawn(job).map(drop)
}

/// One of the connections that are possible at the same time.
struct Slot(Arc<AtomicUsize>);

impl Slot {
    fn take(connections: &Arc<AtomicUsize>) -> Option<Self> {
        let slot = Self(connections.clone());
        (connections.fetch_add(1, Ordering::Relaxed) < MOST_CONNECTIONS).then_some(slot)
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Serves a connection until both sides have ended. An error has been told to the client, or nobody is there to hear it.
fn connection(mut client: TcpStream, rules: &[Rule]) -> io::Result<()> {
    limit(&client)?;
    let (head, rest) = match head::read(&mut client)? {
        Ok(read) => read,
        Err(Unreadable(reason)) => return refuse(&client, 400, reason),
    };
    if !rules.iter().any(|rule| rule.allows(&head.host, head.port)) {
        let host = &head.host;
        let reason = format!("this build may not reach {host}:{}; `--allow-net {host}` would let it", head.port);
        return refuse(&client, 403, &reason);
    }
    let mut server = match connect(&head, rules) {
        Ok(server) => server,
        Err(Unreachable::Forbidden(address)) => {
            let reason = format!(
                "{} leads to {address}, an address of the host or its cloud; `--allow-net {address}` would let this build reach it",
                head.host
            );
            return refuse(&client, 403, &reason);
        }
        Err(Unreachable::Failed(error)) => {
            return refuse(&client, 502, &format!("connecting to {}:{}: {error}", head.host, head.port));
        }
    };
    limit(&server)?;
    match &head.forwarded {
        None => client.write_all(b"HTTP/1.1 200 Connection established\r\n\r\n")?,
        Some(request) => server.write_all(request)?,
    }
    server.write_all(&rest)?;
    relay(client, server)
}

fn limit(stream: &TcpStream) -> io::Result<()> {
    stream.set_read_timeout(Some(IDLE))?;
    stream.set_write_timeout(Some(IDLE))
}

/// Why a host isn't reached.
enum Unreachable {
    /// Its name leads to an address that no name may lead to.
    Forbidden(IpAddr),
    /// The resolver or the network failed.
    Failed(io::Error),
}

impl From<io::Error> for Unreachable {
    fn from(error: io::Error) -> Self {
        Self::Failed(error)
    }
}

fn connect(head: &Head, rules: &[Rule]) -> Result<TcpStream, Unreachable> {
    let mut last = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
    let addresses: Vec<SocketAddr> = (head.host.as_str(), head.port).to_socket_addrs()?.collect();
    // All of them are checked before any is tried: a name that leads to a forbidden address at all is not to be trusted.
    let forbidden = |address: &&SocketAddr| !rules.iter().any(|rule| rule.names(address.ip(), head.port));
    if let Some(address) = addresses.iter().filter(forbidden).find(|address| rule::is_inner(address.ip())) {
        return Err(Unreachable::Forbidden(address.ip()));
    }
    for address in addresses {
        match TcpStream::connect_timeout(&address, CONNECTING) {
            Ok(stream) => return Ok(stream),
            Err(error) => last = error,
        }
    }
    Err(last.into())
}

/// Copies both ways until both senders have ended, or nothing went either way for [`IDLE`].
fn relay(client: TcpStream, server: TcpStream) -> io::Result<()> {
    let (from, to) = (server.try_clone()?, client.try_clone()?);
    let moved = Arc::new(AtomicUsize::new(0));
    let other = moved.clone();
    thread(move || one_way(&from, &to, &other))?;
    one_way(&client, &server, &moved);
    Ok(())
}

fn one_way(from: &TcpStream, to: &TcpStream, moved: &AtomicUsize) {
    let ended = copy(from, to, moved);
    // After an orderly end the other way may go on; after an error it may not.
    let _ = to.shutdown(if ended.is_ok() { Shutdown::Write } else { Shutdown::Both });
    if ended.is_err() {
        let _ = from.shutdown(Shutdown::Both);
    }
}

/// `moved` counts what goes either way: a client that only listens to a long answer isn't idle.
fn copy(mut from: &TcpStream, mut to: &TcpStream, moved: &AtomicUsize) -> io::Result<()> {
    let mut block = [0; 16 << 10];
    let mut before = moved.load(Ordering::Relaxed);
    loop {
        match from.read(&mut block) {
            Ok(0) => return Ok(()),
            Ok(length) => {
                moved.fetch_add(length, Ordering::Relaxed);
                to.write_all(&block[..length])?;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => {
                let now = moved.load(Ordering::Relaxed);
                if now == std::mem::replace(&mut before, now) {
                    return Err(error);
                }
            }
            Err(error) => return Err(error),
        }
    }
}

/// Ends a connection with a response whose body gives the reason.
fn refuse(mut client: &TcpStream, status: u16, reason: &str) -> io::Result<()> {
    let phrase = match status {
        400 => "Bad Request",
        403 => "Forbidden by steprun",
        502 => "Bad Gateway",
        _ => "Service Unavailable",
    };
    let length = reason.len() + 1;
    let head = format!(
        "HTTP/1.1 {status} {phrase}\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n"
    );
    client.set_write_timeout(Some(CONNECTING))?;
    client.write_all(format!("{head}{reason}\n").as_bytes())?;
    client.shutdown(Shutdown::Write)?;
    // Closing while unread bytes are left would reset the connection, and the answer might be lost.
    client.set_read_timeout(Some(Duration::from_secs(1)))?;
    let _ = io::copy(&mut client.take(head::MOST as u64), &mut io::sink());
    Ok(())
}

#[cfg(test)]
mod tests;
