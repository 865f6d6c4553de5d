//! `steprun registry serve`.

use std::io::Write;
use std::sync::Arc;

use steprun_server::{Config, Server};

use crate::cli::Serve;
use crate::cli::options::HostOptions;
use crate::exit::{Exit, Failure};
use crate::progress::Display;
use crate::run::supervised;

/// Serves until a signal comes, which is the ordinary end. Prints the address as one line on standard output when it listens.
///
/// # Errors
/// If it can't listen or use the directory.
pub async fn serve(serve: Serve, options: &HostOptions) -> Result<(), Failure> {
    let address = serve.address;
    let server = Server::bind(Config { address, root: serve.root });
    let server = server.map_err(|e| Failure::io(format_args!("can't serve a registry at {address}"), e))?;
    let mut out = std::io::stdout();
    let printed = writeln!(out, "{}", server.address()).and_then(|()| out.flush());
    printed.map_err(|e| Failure::io("can't write to standard output", e))?;
    let display = Arc::new(Display::new(options.progress));
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let running = tokio::spawn(server.run(async {
        let _ = stopped.await;
    }));
    let outcome = supervised(options, &display, std::future::pending()).await;
    drop(stop);
    let _ = running.await;
    match outcome {
        Err(Failure { exit: Exit::Signal(_), .. }) => Ok(()),
        other => other,
    }
}
