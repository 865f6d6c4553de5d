//! The command line: the host's own flags and commands, and a step's, which is made from its description.

pub mod arguments;
pub mod options;
pub mod step;
pub mod time;

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Args, CommandFactory, FromArgMatches, Parser, Subcommand};
use steprun_client::Secret;

use crate::exit::{Exit, Failure};
use options::HostOptions;

/// Runs CI pipeline steps as WebAssembly components.
#[derive(Debug, Parser)]
#[command(name = "steprun", version, about, max_term_width = 120, override_usage = "steprun [OPTIONS] STEP [ARGS]...", after_long_help = after_help())]
struct Cli {
    #[command(flatten)]
    host: HostOptions,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Print what a step imports, its command line, and the grants that arguments would give it
    Inspect(Inspect),
    /// Write a built-in step to a file, as the component that it is: to share, sign or pin it
    Extract(Extract),
    /// Try what this place allows: which sandbox native commands get, what is missing for a stronger one
    Doctor(Doctor),
    /// Log in to registries, and see with what: the commands of `crane auth`
    Auth(Auth),
    /// Serve an OCI registry from a directory
    Registry(RegistryCommand),
    /// See how large the store is, make it smaller, check it
    Store(StoreArguments),
    /// `build`, `promote`, or the path of a component: `./lint.wasm`
    #[command(external_subcommand)]
    Step(Vec<OsString>),
}

/// `steprun inspect STEP [ARGS]`.
#[derive(Debug, Args)]
pub struct Inspect {
    /// `build`, `promote`, or the path of a component
    pub step: OsString,
    /// The step's arguments, to see the grants that they give
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    pub arguments: Vec<OsString>,
}

/// `steprun extract STEP FILE`.
#[derive(Debug, Args)]
pub struct Extract {
    /// `build` or `promote`
    pub step: String,
    /// Where to, such as `build.wasm`; `-` is standard output
    pub file: PathBuf,
}

/// `steprun doctor`.
#[derive(Debug, Args)]
pub struct Doctor {
    /// Print all that was tried as JSON
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Args)]
struct Auth {
    #[command(subcommand)]
    command: AuthCommand,
}

/// `steprun auth ...`.
#[derive(Debug, Subcommand)]
pub enum AuthCommand {
    /// Print the credentials for a registry as a credential helper does
    Get {
        /// Registry; read from standard input if not given
        registry: Option<String>,
    },
    /// Keep a user name and password for a registry, where `docker login` does
    Login(Login),
    /// Forget the credentials for a registry
    Logout {
        /// Registry
        registry: String,
    },
    /// Print a token of a registry's token server
    Token(Token),
}

/// `steprun auth login`.
#[derive(Debug, Args)]
pub struct Login {
    /// Registry
    pub registry: String,
    /// User name
    #[arg(short, long, value_name = "NAME")]
    pub username: Option<String>,
    /// Password; it can be seen in lists of processes
    #[arg(short, long, value_parser = secret)]
    pub password: Option<Secret>,
    /// Read the password from standard input
    #[arg(long)]
    pub password_stdin: bool,
}

/// From here on nothing prints it.
fn secret(text: &str) -> Result<Secret, std::convert::Infallible> {
    Ok(Secret::new(text))
}

/// `steprun auth token`.
#[derive(Debug, Args)]
pub struct Token {
    /// Repository to pull from
    pub repository: String,
    /// Print it as a header, without a newline
    #[arg(short = 'H', long)]
    pub header: bool,
    /// Ask for pushing too
    #[arg(long)]
    pub push: bool,
    /// Ask for pulling from this repository too
    #[arg(short, long, value_name = "REPO", value_delimiter = ',')]
    pub mount: Vec<String>,
}

#[derive(Debug, Args)]
struct StoreArguments {
    #[command(subcommand)]
    command: StoreCommand,
}

/// `steprun store ...`. Each waits until no build uses the store.
#[derive(Debug, Subcommand)]
pub enum StoreCommand {
    /// Print how much there is of what
    Du {
        /// Print it as JSON, in bytes
        #[arg(long)]
        json: bool,
    },
    /// Remove what was not used for long; without limits only what can't be used any more
    Gc {
        /// Remove what was used least recently until this is left: `10GiB`
        #[arg(long, value_name = "SIZE", value_parser = options::parse_size)]
        max_size: Option<u64>,
        /// Remove what was not used for this time, or since this date: `14d`
        #[arg(long, value_name = "TIME")]
        max_age: Option<String>,
    },
    /// Read all blobs, and remove those that do not have their digests; then the exit status is 4
    Verify,
}

#[derive(Debug, Args)]
struct RegistryCommand {
    #[command(subcommand)]
    command: RegistrySubcommand,
}

#[derive(Debug, Subcommand)]
enum RegistrySubcommand {
    /// Serve until interrupted; prints the address as one line on standard output when ready
    Serve(Serve),
}

/// `steprun registry serve`.
#[derive(Debug, Args)]
pub struct Serve {
    /// Where to listen; port 0 takes a free one
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:0")]
    pub address: std::net::SocketAddr,
    /// Where blobs and manifests are kept; a temporary directory if not given
    #[arg(long, value_name = "DIR")]
    pub root: Option<PathBuf>,
}

/// What the command line asks for.
#[derive(Debug)]
pub enum Invocation {
    /// Run a step.
    Step {
        /// A built-in name or a path.
        step: OsString,
        /// The host's flags before it.
        before: Vec<OsString>,
        /// All that follows it.
        after: Vec<OsString>,
    },
    /// Look at a step.
    Inspect(Inspect, HostOptions),
    /// Write a built-in step to a file.
    Extract(Extract),
    /// Try what the place allows.
    Doctor(Doctor, HostOptions),
    /// Log in to registries.
    Auth(AuthCommand, HostOptions),
    /// Serve a registry.
    Serve(Serve, HostOptions),
    /// Keep the store in order.
    Store(StoreCommand, HostOptions),
}

impl Invocation {
    /// Reads the command line; `arguments` begins with the program's name.
    ///
    /// # Errors
    /// The text to print and the status to exit with, for `--help`, `--version` and usage errors.
    pub fn parse(arguments: Vec<OsString>) -> Result<Self, clap::Error> {
        let matches = Cli::command().try_get_matches_from(&arguments)?;
        let cli = Cli::from_arg_matches(&matches)?;
        Ok(match cli.command {
            Command::Inspect(inspect) => Self::Inspect(inspect, cli.host),
            Command::Extract(extract) => Self::Extract(extract),
            Command::Doctor(doctor) => Self::Doctor(doctor, cli.host),
            Command::Auth(auth) => Self::Auth(auth.command, cli.host),
            Command::Registry(registry) => match registry.command {
                RegistrySubcommand::Serve(serve) => Self::Serve(serve, cli.host),
            },
            Command::Store(store) => Self::Store(store.command, cli.host),
            Command::Step(words) => {
                // The step's own words are the tail; what is between the program's name and them are the host's flags.
                let first = arguments.len() - words.len();
                let mut words = words.into_iter();
                let step = words.next().unwrap_or_default();
                Self::Step { step, before: arguments[1..first].to_vec(), after: words.collect() }
            }
        })
    }
}

/// A binary that is named or linked `crane` is `steprun promote`, and one named `build` or `promote` that step, so that scripts keep their words.
pub fn called_as(mut arguments: Vec<OsString>) -> Vec<OsString> {
    let name = arguments.first().map(std::path::Path::new).and_then(std::path::Path::file_name);
    let step = match name.and_then(std::ffi::OsStr::to_str) {
        Some("crane" | "promote") => "promote",
        Some("build") => "build",
        _ => return arguments,
    };
    arguments.splice(..1, ["steprun".into(), step.into()]);
    arguments
}

/// crane's commands that no step can have, since they show credentials or serve: `steprun promote auth ...` is `steprun auth ...`, and so with
/// `registry`; `-c` of `crane pull` is `--store`.
pub fn of_host(mut arguments: Vec<OsString>) -> Vec<OsString> {
    if arguments.get(1).is_none_or(|step| step != "promote") {
        return arguments;
    }
    // Flags may stand before the command; their values, which can't be told from commands here, are no such words.
    match arguments[2..].iter().position(|word| word == "auth" || word == "registry" || word == "pull") {
        Some(at) if arguments[2 + at] == "pull" => {
            arguments[2 + at..].iter_mut().filter(|word| *word == "-c").for_each(|word| *word = "--store".into());
        }
        Some(at) if arguments[2..2 + at].iter().all(|word| word.to_string_lossy().starts_with('-')) => {
            arguments.remove(1);
        }
        _ => {}
    }
    arguments
}

/// Turns clap's refusal into what to do with it: text for standard output, or a failure.
///
/// # Errors
/// All but `--help` and `--version`.
pub fn report(error: &clap::Error) -> Result<(), Failure> {
    use clap::error::ErrorKind;
    match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => printed(error.print()),
        ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => {
            Err(Failure::usage("no step is given").hint("`steprun --help` lists what there is"))
        }
        _ => {
            let text = error.to_string();
            Err(Failure::new(Exit::Usage, text.trim_start_matches("error: ").trim_end().to_owned()))
        }
    }
}

/// The outcome of a print on standard output. A reader that has seen enough (`| head`) is no error.
///
/// # Errors
/// All else.
pub fn printed(outcome: std::io::Result<()>) -> Result<(), Failure> {
    match outcome {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => {
            Err(Failure::io("can't write to standard output", error))
        }
        _ => Ok(()),
    }
}

fn after_help() -> String {
    let mut help = String::from(
        "Examples:\n  \
         steprun build -c . -d registry.example/team/app:1.0\n  \
         steprun promote copy registry.example/testing/app:1.0 registry.example/stable/app:1.0\n  \
         steprun ./lint.wasm --help\n\nSteps:\n",
    );
    for built_in in &steprun_bundle::BUILT_IN {
        help.push_str(&format!("  {:<8}  {}\n", built_in.name, built_in.summary));
    }
    help.push_str("\nExit status:\n");
    for (status, meaning) in Exit::TABLE {
        help.push_str(&format!("  {status:>3}  {meaning}\n"));
    }
    help
}
