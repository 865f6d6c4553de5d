//! The `steprun` binary: reads the command line, runs, and exits with the status that says how it went.

use std::process::ExitCode;

use steprun::cli::options::ProgressMode;
use steprun::cli::{self, Invocation};
use steprun::exit::Failure;
use steprun::progress::Display;
use steprun::{auth, component, doctor, inspect, maintenance, run, serve};

fn main() -> ExitCode {
    // Started by ourselves, for a command that is to run in a sandbox.
    if std::env::args_os().nth(1).is_some_and(|word| word == steprun::commands::SUPERVISOR) {
        return steprun_sandbox::supervisor::main();
    }
    match start() {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            Display::new(progress_mode()).failure(&failure);
            ExitCode::from(failure.exit.status())
        }
    }
}

fn start() -> Result<(), Failure> {
    let invocation = match Invocation::parse(cli::of_host(cli::called_as(std::env::args_os().collect()))) {
        Ok(invocation) => invocation,
        Err(refused) => return cli::report(&refused),
    };
    // This thread runs the step and its calls, and what reads files and computes has threads of its own: the worker only serves connections.
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .map_err(|e| Failure::io("can't start the runtime", e))?;
    let outcome = runtime.block_on(async {
        match invocation {
            Invocation::Step { step, before, after } => run::step(step, before, after).await,
            Invocation::Inspect(inspect, options) => inspect::inspect(inspect, &options).await,
            Invocation::Auth(command, options) => auth::auth(command, &options).await,
            Invocation::Extract(extract) => component::extract(&extract.step, extract.file),
            Invocation::Doctor(doctor, options) => doctor::doctor(&doctor, &options),
            Invocation::Serve(serve, options) => serve::serve(serve, &options).await,
            Invocation::Store(command, options) => maintenance::store(&command, &options),
        }
    });
    // Work that a signal or a time limit left behind is not waited for.
    runtime.shutdown_background();
    outcome
}

/// How the final error is shown: as JSON where the caller asked for JSON, wherever on the command line.
fn progress_mode() -> ProgressMode {
    let words: Vec<String> = std::env::args_os().map(|word| word.to_string_lossy().into_owned()).collect();
    let asked = words.iter().any(|word| word == "--progress=json")
        || words.windows(2).any(|pair| pair == ["--progress", "json"]);
    if asked || std::env::var("STEPRUN_PROGRESS").is_ok_and(|mode| mode == "json") {
        ProgressMode::Json
    } else {
        ProgressMode::Plain
    }
}
