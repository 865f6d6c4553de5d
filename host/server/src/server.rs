//! The listener and its connections.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use crate::routes::{self, Registry};
use crate::storage::Store;
use crate::uploads::Uploads;

/// How long requests under way may go on after the shutdown.
const GRACE: Duration = Duration::from_secs(10);

/// How long a client may take to send a request's head.
const HEAD: Duration = Duration::from_secs(30);

/// Pause after a failed `accept`, which otherwise fails again at once where file descriptors have run out.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Where to listen and store.
#[derive(Debug, Clone)]
pub struct Config {
    /// Address; port 0 takes a free one.
    pub address: SocketAddr,
    /// Directory, made where there is none; one server at a time. None: a private temporary directory, removed with the server.
    pub root: Option<PathBuf>,
}

/// A registry that listens. Clients may connect from now on; they are answered once it runs.
#[derive(Debug)]
pub struct Server {
    listener: TcpListener,
    address: SocketAddr,
    registry: Arc<Registry>,
}

impl Server {
    /// Opens the storage and listens.
    ///
    /// # Errors
    /// The address is taken or not ours, the directory can't be written, or another server has it.
    pub fn bind(config: Config) -> io::Result<Self> {
        let store = Store::open(config.root)?;
        let listener = TcpListener::bind(config.address)?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        Ok(Self { listener, address, registry: Arc::new(Registry { store, uploads: Uploads::default() }) })
    }

    /// The address with the port that was taken.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serves until `shutdown` is ready; requests under way then get ten seconds. Needs a Tokio runtime with time and I/O.
    ///
    /// # Errors
    /// Fails if the runtime can't watch the socket. What goes wrong with one connection ends that one only.
    pub async fn run(self, shutdown: impl Future<Output = ()>) -> io::Result<()> {
        let listener = tokio::net::TcpListener::from_std(self.listener)?;
        let graceful = GracefulShutdown::new();
        let mut connections = JoinSet::new();
        let mut shutdown = pin!(shutdown);
        loop {
            tokio::select! {
                accepted = listener.accept() => match accepted {
                    Ok((stream, _)) => drop(connections.spawn(serve(stream, Arc::clone(&self.registry), &graceful))),
                    Err(_) => tokio::time::sleep(ACCEPT_PAUSE).await,
                },
                Some(_) = connections.join_next(), if !connections.is_empty() => {}
                () = &mut shutdown => break,
            }
        }
        drop(listener);
        // Those that do not end in time are cut when `connections` is dropped.
        drop(tokio::time::timeout(GRACE, graceful.shutdown()).await);
        Ok(())
    }
}

/// A connection's work; registered with `graceful` at once, not when it is first polled.
fn serve(
    stream: TcpStream,
    registry: Arc<Registry>,
    graceful: &GracefulShutdown,
) -> impl Future<Output = ()> + Send + 'static {
    // Without it, an answer's last packet may wait for an acknowledgement; failing to set it costs only time.
    drop(stream.set_nodelay(true));
    let service = service_fn(move |request| routes::answer(Arc::clone(&registry), request));
    let connection = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD)
        .serve_connection(TokioIo::new(stream), service);
    let watched = graceful.watch(connection);
    // A connection fails when its client breaks it: nobody is left to tell.
    async move { drop(watched.await) }
}
