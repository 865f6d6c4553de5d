//! `steprun inspect`: what a step imports, its command line, and the grants that arguments would give.

use std::ffi::OsString;
use std::fmt::Write as _;
use std::io::Write as _;

use wasmtime::Engine;
use wasmtime::component::types::ComponentItem;

use crate::bindings::exported::Description;
use crate::cli::options::HostOptions;
use crate::cli::step::Detail;
use crate::cli::{self, Inspect, arguments, step};
use crate::component::{self, Loaded};
use crate::exit::Failure;
use crate::grants::{self, Commands, Fetches, Pulls};
use crate::policy::Policies;
use crate::run::{self, Instance, Kind};

/// Prints what is known of a step on standard output.
///
/// # Errors
/// If it can't be loaded or described, or the arguments make no sense.
pub async fn inspect(inspect: Inspect, options: &HostOptions) -> Result<(), Failure> {
    let engine = run::engine()?;
    let loaded = component::load(&engine, &inspect.step)?;
    let mut text = imports(&engine, &loaded);
    match Kind::of(&engine, &loaded)? {
        Kind::WasiCommand => {
            text.push_str("\ncommand line\n  its own: a plain WASI command gets its arguments as they are\n")
        }
        Kind::Step => {
            let description = Instance::to_describe(&engine, &loaded).await?.describe().await?;
            text.push_str("\ncommand line\n");
            command_lines(&mut text, &description)?;
            if !inspect.arguments.is_empty() {
                match grants_of(&loaded, &description, inspect.arguments, options)? {
                    Ok(grants) => text.push_str(&grants),
                    Err(refused) => return cli::report(&refused),
                }
            }
        }
    }
    cli::printed(std::io::stdout().write_all(text.as_bytes()))
}

fn imports(engine: &Engine, loaded: &Loaded) -> String {
    let origin = if loaded.built_in { "built in" } else { "a file" };
    let mut text = format!("step\n  {} ({origin})\n\nimports\n", loaded.name);
    let types = loaded.component.component_type();
    let mut count = 0;
    for (name, item) in types.imports(engine) {
        count += 1;
        let _ = writeln!(text, "  {name}");
        if let ComponentItem::ComponentInstance(instance) = item.ty {
            let functions =
                instance.exports(engine).filter(|(_, export)| matches!(export.ty, ComponentItem::ComponentFunc(_)));
            for (function, _) in functions {
                let _ = writeln!(text, "    {function}");
            }
        }
    }
    if count == 0 {
        text.push_str("  nothing\n");
    }
    text
}

fn command_lines(text: &mut String, description: &Description) -> Result<(), Failure> {
    // Built only to refuse a description that makes no sense.
    step::command_line(description, Detail::Full)?;
    for command in &description.commands {
        let _ = writeln!(text, "  {}", [description.name.as_str(), command.name.as_str()].join(" ").trim_end());
        for parameter in &command.parameters {
            let kind = step::kind_name(&parameter.value);
            let name = step::shown_name(parameter);
            let effect = grants::granted_by(&parameter.value).map(|effect| format!("  {effect}")).unwrap_or_default();
            let _ = writeln!(text, "    {name:<36} {kind:<20}{effect}");
        }
    }
    Ok(())
}

fn grants_of(
    loaded: &Loaded,
    description: &Description,
    words: Vec<OsString>,
    options: &HostOptions,
) -> Result<Result<String, clap::Error>, Failure> {
    let (own, arguments) = match arguments::parse(description, Vec::new(), words)? {
        Ok(parsed) => parsed,
        Err(refused) => return Ok(Err(refused)),
    };
    let allowed: Vec<String> = options.allow_pull.iter().chain(&own.allow_pull).cloned().collect();
    let pulls = if loaded.built_in { Pulls::Any } else { Pulls::of(&arguments, &allowed) };
    let allowed: Vec<String> = options.allow_fetch.iter().chain(&own.allow_fetch).cloned().collect();
    let fetches = Fetches::of(loaded.built_in, &allowed);
    let policies = Policies::of_system()?.and(options.policy.iter().chain(&own.policy))?;
    let mut text = String::from("\ngrants\n");
    let commands = if options.allow_run { Commands::of(options, &policies) } else { Commands::of(&own, &policies) };
    for grant in grants::grants(&arguments, &pulls, &fetches, &commands) {
        let _ = writeln!(text, "  {grant}");
    }
    Ok(Ok(text))
}
