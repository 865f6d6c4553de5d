//! Runs a component: describe, parse, grant, run.

use std::ffi::OsString;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};
use wasmtime::component::{HasSelf, Linker};
use wasmtime::{Engine, Store, Trap};

use crate::bindings::exported::{self, Description};
use crate::bindings::{PipelineStep, types};
use crate::cli::arguments;
use crate::cli::options::HostOptions;
use crate::component::{self, Loaded};
use crate::error::CallError;
use crate::exit::{Exit, Failure, Place};
use crate::limits::{self, Limits};
use crate::outputs;
use crate::policy::Policies;
use crate::progress::{Display, HEARTBEAT};
use crate::session::{Session, State};
use crate::{cli, wasi};

/// A step that takes longer to describe itself is broken.
const DESCRIBE_TIMEOUT: Duration = Duration::from_secs(10);
/// Memory for a description.
const DESCRIBE_MEMORY: u64 = 256 << 20;

/// What a component is, told by what it exports.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A step by the contract in `wit/`.
    Step,
    /// A plain `wasi:cli/run` command.
    WasiCommand,
}

impl Kind {
    /// Tells it by the exports.
    ///
    /// # Errors
    /// If it is neither.
    pub fn of(engine: &Engine, loaded: &Loaded) -> Result<Self, Failure> {
        let exports: Vec<String> =
            loaded.component.component_type().exports(engine).map(|(name, _)| name.to_owned()).collect();
        if exports.iter().any(|name| name.starts_with("steprun:step/step@0.1.")) {
            return Ok(Self::Step);
        }
        if exports.iter().any(|name| name.starts_with("wasi:cli/run@0.2.")) {
            return Ok(Self::WasiCommand);
        }
        let found = if exports.is_empty() { "nothing".to_owned() } else { exports.join(", ") };
        Err(Failure::usage(format!("`{}` is not a step for this host", loaded.name))
            .because(format!("it exports {found}, and neither `steprun:step/step@0.1` nor `wasi:cli/run@0.2`")))
    }
}

/// An engine whose clock runs.
///
/// # Errors
/// If the machine can't run compiled wasm.
pub fn engine() -> Result<Engine, Failure> {
    let engine = steprun_engine::engine()
        .map_err(|e| Failure::new(Exit::Trap, "WebAssembly can't run on this machine").because(e))?;
    let clock = engine.weak();
    std::thread::spawn(move || {
        while let Some(engine) = clock.upgrade() {
            engine.increment_epoch();
            drop(engine);
            std::thread::sleep(Duration::from_millis(steprun_engine::EPOCH_MILLISECONDS));
        }
    });
    Ok(engine)
}

/// A store whose component yields at each tick of the clock, within limits.
pub fn limited<T: Send + 'static>(
    engine: &Engine,
    state: T,
    limits: impl (FnMut(&mut T) -> &mut dyn wasmtime::ResourceLimiter) + Send + Sync + 'static,
) -> Store<T> {
    let mut store = Store::new(engine, state);
    store.limiter(limits);
    store.set_epoch_deadline(1);
    store.epoch_deadline_async_yield_and_update(1);
    store.set_hostcall_fuel(limits::MAX_CALL_BYTES);
    store
}

/// `steprun STEP ARGS`.
///
/// # Errors
/// All ways in which a run can end without success.
pub async fn step(step: OsString, before: Vec<OsString>, after: Vec<OsString>) -> Result<(), Failure> {
    let engine = engine()?;
    let loaded = component::load(&engine, &step)?;
    // Before any of its code runs; what the caller's own policies say is known when the flags are.
    let policies = Policies::of_system()?;
    policies.check_step(&loaded.name, || loaded.digest())?;
    if Kind::of(&engine, &loaded)? == Kind::WasiCommand {
        return wasi::run(&engine, &loaded, policies, before, after).await;
    }
    let mut instance = Instance::new(&engine, &loaded).await?;
    let description = instance.describe().await?;
    let (options, arguments) = match arguments::parse(&description, before, after)? {
        Ok(parsed) => parsed,
        Err(refused) => return cli::report(&refused),
    };
    let display = Arc::new(Display::new(options.progress));
    let policies = policies.and(&options.policy)?;
    policies.check_step(&loaded.name, || loaded.digest())?;
    policies.check_arguments(&arguments).map_err(refused)?;
    let session = Arc::new(Session::new(arguments, options.clone(), policies, &loaded, Arc::clone(&display)));
    let outcome = supervised(&options, &display, instance.run(&session, options.max_memory)).await;
    session.sandbox.close(&session);
    outcome?;
    outputs::publish(&session.results(), options.output_env.as_deref(), options.output_json.as_deref())
}

/// An instance of a step. It describes itself without any grant: what it imports traps until it is run.
pub struct Instance {
    name: String,
    store: Store<State>,
    step: PipelineStep,
}

impl Instance {
    /// Gives a component what it imports, without a session behind it.
    ///
    /// # Errors
    /// If it imports what this host doesn't have, or can't be instantiated.
    pub async fn new(engine: &Engine, loaded: &Loaded) -> Result<Self, Failure> {
        let mut linker = Linker::<State>::new(engine);
        let linked = PipelineStep::add_to_linker::<_, HasSelf<State>>(&mut linker, |state| state);
        linked.map_err(|e| trapped(&e, None))?;
        Self::with(engine, loaded, &linker).await
    }

    /// The same, and what it imports besides traps: enough to ask for its description.
    ///
    /// # Errors
    /// If it can't be instantiated.
    pub async fn to_describe(engine: &Engine, loaded: &Loaded) -> Result<Self, Failure> {
        let mut linker = Linker::<State>::new(engine);
        linker.define_unknown_imports_as_traps(&loaded.component).map_err(|e| trapped(&e, None))?;
        Self::with(engine, loaded, &linker).await
    }

    async fn with(engine: &Engine, loaded: &Loaded, linker: &Linker<State>) -> Result<Self, Failure> {
        let state = State { table: limits::handles(), limits: Limits::new(DESCRIBE_MEMORY), session: None };
        let mut store = limited(engine, state, |state| &mut state.limits);
        match PipelineStep::instantiate_async(&mut store, &loaded.component, linker).await {
            Ok(step) => Ok(Self { name: loaded.name.clone(), store, step }),
            Err(trap) => Err(trapped(&trap, store.data().limits.exceeded())),
        }
    }

    /// A component's description of its command line.
    ///
    /// # Errors
    /// If it traps or takes too long.
    pub async fn describe(&mut self) -> Result<Description, Failure> {
        let name = &self.name;
        let described = self.step.steprun_step_step().call_describe(&mut self.store);
        match tokio::time::timeout(DESCRIBE_TIMEOUT, described).await {
            Ok(description) => description.map_err(|error| {
                Failure::new(Exit::Trap, format!("the step `{name}` could not describe its command line"))
                    .because(format!("{error:#}"))
            }),
            Err(_) => Err(Failure::new(
                Exit::TimedOut,
                format!("the step `{name}` took longer than {DESCRIBE_TIMEOUT:?} to describe its command line"),
            )),
        }
    }

    /// Runs it with the grants of a session and this much memory, in bytes.
    async fn run(mut self, session: &Arc<Session>, max_memory: u64) -> Result<(), Failure> {
        let Self { store, step, .. } = &mut self;
        store.data_mut().session = Some(Arc::clone(session));
        let outcome = async {
            store.data_mut().limits.set(max_memory)?;
            store.run_concurrent(async |accessor| step.steprun_step_step().call_run(accessor).await).await?
        }
        .await;
        match outcome {
            Ok(Ok(())) => Ok(()),
            Ok(Err(failure)) => Err(step_failure(failure)),
            Err(trap) => Err(trapped(&trap, store.data().limits.exceeded())),
        }
    }
}

/// A crash, in words that tell a limit from an error of the component.
pub fn trapped(error: &wasmtime::Error, exceeded: Option<&str>) -> Failure {
    let failure = Failure::new(Exit::Trap, "the component crashed");
    if let Some(exceeded) = exceeded {
        return Failure::new(Exit::Trap, "the component hit a limit")
            .because(exceeded)
            .hint("`--max-memory` raises it, if it can be trusted with more");
    }
    match error.downcast_ref::<Trap>() {
        Some(trap) => failure.because(trap),
        None => failure.because(error.root_cause()),
    }
}

/// A grant that a policy forbids, before the step runs.
fn refused(error: CallError) -> Failure {
    Failure::new(Exit::Denied, error.to_string())
}

fn step_failure(failure: exported::Failure) -> Failure {
    use crate::terminal::plain;
    use exported::FailureKind as Kind;
    let exit = match (failure.exit_status, failure.kind) {
        (Some(status), _) if status != 0 => Exit::Command(status),
        (_, Kind::Failed) => Exit::Failed,
        (_, Kind::Usage) => Exit::Usage,
        (_, Kind::Denied) => Exit::Denied,
        (_, Kind::Verification) => Exit::Verification,
        (_, Kind::Unavailable) => Exit::Unavailable,
    };
    let excerpt = failure.excerpt.as_deref().map(plain);
    let place = failure.position.map(|types::Position { file, line, column }| {
        Box::new(Place { position: format!("{}:{line}:{column}", plain(&file)), excerpt })
    });
    Failure {
        exit,
        message: plain(&failure.message),
        place,
        causes: failure.causes.iter().map(|cause| plain(cause)).collect(),
        hint: failure.hint.as_deref().map(plain),
    }
}

/// Runs work until it is done, a signal comes, or the time is up; reports signs of life meanwhile.
///
/// # Errors
/// The work's own, [`Exit::TimedOut`] and [`Exit::Signal`].
pub async fn supervised(
    options: &HostOptions,
    display: &Arc<Display>,
    work: impl Future<Output = Result<(), Failure>>,
) -> Result<(), Failure> {
    let no_signals = |e| Failure::io("can't listen for signals", e);
    let mut interrupt = signal(SignalKind::interrupt()).map_err(no_signals)?;
    let mut terminate = signal(SignalKind::terminate()).map_err(no_signals)?;
    let limit = async {
        match options.timeout {
            Some(limit) => tokio::time::sleep(limit).await,
            None => std::future::pending().await,
        }
    };
    let heartbeat = async {
        let mut ticks = tokio::time::interval(HEARTBEAT);
        loop {
            ticks.tick().await;
            display.heartbeat();
        }
    };
    tokio::select! {
        outcome = work => outcome,
        () = limit => Err(Failure::new(Exit::TimedOut, format!("the step did not end within {:?}", options.timeout.unwrap_or_default()))
            .hint("`--timeout` sets the limit")),
        _ = interrupt.recv() => Err(Failure::new(Exit::Signal(2), "interrupted")),
        _ = terminate.recv() => Err(Failure::new(Exit::Signal(15), "terminated")),
        () = heartbeat => Ok(()),
    }
}
