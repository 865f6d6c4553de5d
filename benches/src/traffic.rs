//! What clients send to a registry, counted by a gate in front of it.
//!
//! A gate costs time, so only runs that are not timed go through it: their commands get its address instead of the registry's. It counts what
//! TCP carries, which is all requests with their headers.

use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;

use steprun_tests::Registry;

/// Whether the run that is prepared is counted.
static COUNTING: AtomicBool = AtomicBool::new(false);
static SENT: AtomicU64 = AtomicU64::new(0);

/// A registry behind a gate.
pub(crate) struct Gated {
    registry: Registry,
    gate: String,
}

impl Gated {
    pub(crate) fn new() -> Self {
        let registry = Registry::plain();
        let gate = open(registry.address().to_owned()).expect("a port of loopback is free");
        Self { registry, gate }
    }

    /// The registry itself, to prepare what is in it.
    pub(crate) fn registry(&self) -> &Registry {
        &self.registry
    }

    /// Where commands find it.
    pub(crate) fn address(&self) -> &str {
        if COUNTING.load(Ordering::Relaxed) { &self.gate } else { self.registry.address() }
    }

    /// The name of an image, for commands.
    pub(crate) fn image(&self, name: &str) -> String {
        format!("{}/{name}", self.address())
    }
}

/// Does work with gates in front of all registries; gives what was sent through them besides.
pub(crate) fn counted<T>(work: impl FnOnce() -> T) -> (T, u64) {
    COUNTING.store(true, Ordering::Relaxed);
    SENT.store(0, Ordering::Relaxed);
    let done = work();
    COUNTING.store(false, Ordering::Relaxed);
    (done, SENT.load(Ordering::Relaxed))
}

/// Opens a gate that stays until the process ends; gives its address.
fn open(registry: String) -> io::Result<String> {
    let gate = TcpListener::bind("127.0.0.1:0")?;
    let address = gate.local_addr()?.to_string();
    thread::spawn(move || {
        for client in gate.incoming() {
            let registry = registry.clone();
            // Whoever breaks a connection learns of it by its end.
            thread::spawn(move || client.and_then(|client| pass(client, &registry)));
        }
    });
    Ok(address)
}

/// Passes requests to the registry and responses back until both ends are closed.
fn pass(mut client: TcpStream, registry: &str) -> io::Result<()> {
    let mut registry = TcpStream::connect(registry)?;
    let (mut responses, mut back) = (registry.try_clone()?, client.try_clone()?);
    thread::spawn(move || {
        let passed = io::copy(&mut responses, &mut back);
        back.shutdown(Shutdown::Both).and(passed)
    });
    let mut buffer = vec![0; 1 << 16];
    loop {
        let count = client.read(&mut buffer)?;
        if count == 0 {
            return registry.shutdown(Shutdown::Write);
        }
        SENT.fetch_add(count as u64, Ordering::Relaxed);
        registry.write_all(&buffer[..count])?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_counted_and_responses_are_not() {
        let registry = TcpListener::bind("127.0.0.1:0").unwrap();
        let gate = open(registry.local_addr().unwrap().to_string()).unwrap();
        thread::spawn(move || {
            let (mut client, _) = registry.accept().unwrap();
            let mut request = Vec::new();
            client.read_to_end(&mut request).unwrap();
            client.write_all(&request.repeat(3)).unwrap();
        });
        let (response, sent) = counted(|| {
            let mut client = TcpStream::connect(gate).unwrap();
            client.write_all(b"request").unwrap();
            client.shutdown(Shutdown::Write).unwrap();
            let mut response = String::new();
            client.read_to_string(&mut response).unwrap();
            response
        });
        assert_eq!((response.as_str(), sent), ("requestrequestrequest", 7));
    }
}
