//! Plain `wasi:cli/run` commands, of any language. They get arguments, standard streams, the directory of `--context-dir` read-only
//! at `/context`, and nothing else: no environment, no network, no other file.

use std::ffi::OsString;
use std::io::{self, Write};
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use clap::{Args, Command as ClapCommand, FromArgMatches};
use tokio::io::AsyncWrite;
use wasmtime::Engine;
use wasmtime::component::{Linker, ResourceTable};
use wasmtime_wasi::cli::{IsTerminal, StdoutStream};
use wasmtime_wasi::p2::bindings::Command;
use wasmtime_wasi::{FsPerms, I32Exit, WasiCtx, WasiCtxView, WasiView};

use crate::cli;
use crate::cli::options::HostOptions;
use crate::component::Loaded;
use crate::exit::{Exit, Failure};
use crate::limits::{self, Limits};
use crate::policy::Policies;
use crate::progress::Display;
use crate::run::{limited, supervised, trapped};
use crate::terminal::Filter;

struct State {
    wasi: WasiCtx,
    table: ResourceTable,
    limits: Limits,
}

impl WasiView for State {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView { ctx: &mut self.wasi, table: &mut self.table }
    }
}

/// Runs a command. The host's flags stand before its name or directly after it; the rest is the command's.
///
/// # Errors
/// If it fails: with [`Exit::Failed`] and its status in the message, so that no status of it can be taken for one of the host's.
pub async fn run(
    engine: &Engine,
    loaded: &Loaded,
    policies: Policies,
    mut before: Vec<OsString>,
    after: Vec<OsString>,
) -> Result<(), Failure> {
    let (host, arguments) = split_host_flags(after);
    before.extend(host);
    let options = match parse_host_flags(&loaded.name, before) {
        Ok(options) => options,
        Err(refused) => return cli::report(&refused),
    };
    policies.and(&options.policy)?.check_step(&loaded.name, || loaded.digest())?;
    let display = Arc::new(Display::new(options.progress));
    let (stdout, stderr) = (Guarded::new(io::stdout()), Guarded::new(io::stderr()));
    let wasi = context(loaded, &options, &arguments, &stdout, &stderr)?;
    let state = State { wasi, table: limits::handles(), limits: Limits::new(options.max_memory) };
    let mut store = limited(engine, state, |state| &mut state.limits);
    let outcome = supervised(&options, &display, async {
        let run = async {
            let mut linker = Linker::new(engine);
            wasmtime_wasi::p2::add_to_linker_async(&mut linker)?;
            let command = Command::instantiate_async(&mut store, &loaded.component, &linker).await?;
            command.wasi_cli_run().call_run(&mut store).await
        };
        match run.await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(())) => Err(Failure::new(Exit::Failed, format!("`{}` failed", loaded.name))),
            Err(error) => match error.downcast_ref::<I32Exit>() {
                Some(I32Exit(0)) => Ok(()),
                Some(I32Exit(status)) => {
                    Err(Failure::new(Exit::Failed, format!("`{}` exited with status {status}", loaded.name)))
                }
                None => Err(trapped(&error, store.data().limits.exceeded())),
            },
        }
    })
    .await;
    let flushed = stdout.finish().and_then(|()| stderr.finish());
    outcome?;
    flushed.map_err(|e| Failure::io("can't write the output", e))
}

fn context(
    loaded: &Loaded,
    options: &HostOptions,
    arguments: &[OsString],
    stdout: &Guarded,
    stderr: &Guarded,
) -> Result<WasiCtx, Failure> {
    let mut wasi = WasiCtx::builder();
    wasi.inherit_stdin().stdout(stdout.clone()).stderr(stderr.clone()).arg(&loaded.name);
    wasi.allow_tcp(false).allow_udp(false).allow_ip_name_lookup(false);
    for argument in arguments {
        wasi.arg(argument.to_string_lossy());
    }
    if let Some(directory) = &options.context_dir {
        wasi.preopened_dir(directory, "/context", FsPerms::ReadOnly)
            .map_err(|e| Failure::usage(format!("can't open `--context-dir {}`", directory.display())).because(e))?;
    }
    Ok(wasi.build())
}

fn host_command() -> ClapCommand {
    HostOptions::augment_args(ClapCommand::new("steprun"))
}

fn parse_host_flags(name: &str, flags: Vec<OsString>) -> Result<HostOptions, clap::Error> {
    let words = std::iter::once(OsString::from(format!("steprun {name}"))).chain(flags);
    HostOptions::from_arg_matches(&host_command().try_get_matches_from(words)?)
}

/// The host's flags at the beginning, with their values, and the rest. `--` ends them.
fn split_host_flags(words: Vec<OsString>) -> (Vec<OsString>, Vec<OsString>) {
    let host = host_command();
    let mut flags = Vec::new();
    let mut words = words.into_iter();
    while let Some(word) = words.next() {
        let text = word.to_string_lossy().into_owned();
        if text == "--" {
            return (flags, words.collect());
        }
        let (name, inline) = match text
            .strip_prefix("--")
            .map(|long| long.split_once('=').map_or((long, false), |(name, _)| (name, true)))
        {
            Some(split) => split,
            None => return (flags, std::iter::once(word).chain(words).collect()),
        };
        let known = host
            .get_arguments()
            .find(|arg| arg.get_long_and_visible_aliases().is_some_and(|names| names.contains(&name)));
        let Some(flag) = known else {
            return (flags, std::iter::once(word).chain(words).collect());
        };
        flags.push(word);
        if !inline && flag.get_action().takes_values() && !flag.is_require_equals_set() {
            flags.extend(words.next());
        }
    }
    (flags, Vec::new())
}

/// A standard stream behind the filter.
#[derive(Clone)]
struct Guarded(Arc<Mutex<Filter<Box<dyn Write + Send>>>>);

impl Guarded {
    fn new(stream: impl Write + Send + 'static) -> Self {
        Self(Arc::new(Mutex::new(Filter::new(Box::new(stream)))))
    }

    fn finish(&self) -> io::Result<()> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).finish()
    }
}

impl IsTerminal for Guarded {
    fn is_terminal(&self) -> bool {
        false
    }
}

impl StdoutStream for Guarded {
    fn async_stream(&self) -> Box<dyn AsyncWrite + Send + Sync> {
        Box::new(self.clone())
    }
}

impl AsyncWrite for Guarded {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Poll::Ready(self.0.lock().unwrap_or_else(PoisonError::into_inner).write(bytes))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(self.0.lock().unwrap_or_else(PoisonError::into_inner).flush())
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hosts_flags_come_first_and_the_rest_is_the_commands() {
        for (words, flags, rest) in [
            (vec!["a", "--context-dir", "x"], vec![], vec!["a", "--context-dir", "x"]),
            (vec!["--context-dir", "x", "a"], vec!["--context-dir", "x"], vec!["a"]),
            (
                vec!["--context-dir=x", "--max-memory", "1MiB", "-v"],
                vec!["--context-dir=x", "--max-memory", "1MiB"],
                vec!["-v"],
            ),
            (vec!["--own", "x"], vec![], vec!["--own", "x"]),
            (vec!["--", "--context-dir", "x"], vec![], vec!["--context-dir", "x"]),
        ] {
            let words = words.into_iter().map(OsString::from).collect();
            assert_eq!(
                split_host_flags(words),
                (flags.into_iter().map(OsString::from).collect(), rest.into_iter().map(OsString::from).collect())
            );
        }
    }
}
