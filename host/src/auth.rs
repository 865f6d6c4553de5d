//! `steprun auth`: credentials of registries. They never reach a step, so these commands are the host's own; `steprun promote auth` and `crane auth` are
//! the same. Words on standard output are crane's.

use std::io::{self, BufRead, Read, Write};

use serde_json::json;
use steprun_client::{Credential, Environment, Keychain, Logins, RegistryName, Secret};

use crate::cli::options::HostOptions;
use crate::cli::{self, AuthCommand, Login, Token};
use crate::exit::{Exit, Failure};
use crate::progress::Display;
use crate::session;

/// What credential helpers print when they have nothing (docker-credential-helpers, `errCredentialsNotFoundMessage`).
const NOT_FOUND: &str = "credentials not found in native keychain";

/// No password is longer, in bytes.
const LONGEST_PASSWORD: u64 = 64 << 10;

/// Runs one of the commands.
///
/// # Errors
/// Credentials that can't be read, kept or used; [`Exit::Failed`] where there are none.
pub async fn auth(command: AuthCommand, options: &HostOptions) -> Result<(), Failure> {
    let display = std::sync::Arc::new(Display::new(options.progress));
    match command {
        AuthCommand::Get { registry } => get(registry).await,
        AuthCommand::Login(login) => log_in(login, &display).await,
        AuthCommand::Logout { registry } => log_out(&registry, &display).await,
        AuthCommand::Token(token) => print_token(token, options, &display).await,
    }
}

/// The protocol of credential helpers, so that this is one.
async fn get(registry: Option<String>) -> Result<(), Failure> {
    let registry = match registry {
        Some(registry) => registry,
        None => {
            let mut line = String::new();
            let read = io::stdin().lock().take(LONGEST_PASSWORD).read_line(&mut line);
            read.map_err(|error| Failure::io("can't read standard input", error))?;
            line
        }
    };
    let keychain = Keychain::new(Environment::of_process());
    let found = match registry.trim() {
        "" => None,
        text => keychain.of_registry(&parse(text)?).await.map_err(failed)?,
    };
    let (user, secret) = match &found {
        Some(Credential::Password { username, secret, .. }) => (username.as_str(), secret),
        Some(Credential::IdentityToken { secret, .. } | Credential::RegistryToken { secret, .. }) => {
            ("<token>", secret)
        }
        None => {
            cli::printed(writeln!(io::stdout(), "{NOT_FOUND}"))?;
            return Err(Failure::new(Exit::Failed, format!("there are no credentials for `{}`", registry.trim())));
        }
    };
    cli::printed(writeln!(io::stdout(), "{}", json!({"Username": user, "Secret": secret.expose()})))
}

async fn log_in(login: Login, display: &Display) -> Result<(), Failure> {
    let registry = parse(&login.registry)?;
    let password = match (login.password, login.password_stdin) {
        (Some(password), false) => password,
        (None, true) => read_password()?,
        (Some(_), true) => {
            return Err(Failure::usage("--password and --password-stdin are two passwords, and one is needed"));
        }
        (None, false) => {
            return Err(Failure::usage("a password is needed")
                .hint("`--password-stdin` reads it, so that it stands in no list of processes: `echo \"$PASSWORD\" | steprun auth login ...`"));
        }
    };
    let user = login.username.filter(|user| !user.is_empty() && !user.contains(':'));
    let user =
        user.ok_or_else(|| Failure::usage("a user name without `:` is needed").hint("`--username NAME` gives it"))?;
    let logins = logins()?;
    let bare = logins.log_in(&registry, &user, &password).await.map_err(failed)?;
    if bare {
        let file = logins.file().display();
        display.warn(&format!(
            "the password stands unencrypted in {file}; `credsStore` there names a helper that keeps it better"
        ));
    }
    display.info(&format!("logged in via {}", logins.file().display()));
    Ok(())
}

async fn log_out(registry: &str, display: &Display) -> Result<(), Failure> {
    let logins = logins()?;
    logins.log_out(&parse(registry)?).await.map_err(failed)?;
    display.info(&format!("logged out via {}", logins.file().display()));
    Ok(())
}

async fn print_token(token: Token, options: &HostOptions, display: &std::sync::Arc<Display>) -> Result<(), Failure> {
    let name = |text: &str| text.parse().map_err(|error| Failure::usage(format!("{error}")));
    let repository: steprun_client::RepositoryName = name(&token.repository)?;
    let others = token.mount.iter().map(|other| name(other)).collect::<Result<Vec<_>, _>>()?;
    let client = session::client(options, display).map_err(failed)?;
    let answer = client.token(&repository, token.push, &others).await.map_err(failed)?;
    let text = |secret: Option<&Secret>| secret.map(|secret| secret.expose().to_owned()).unwrap_or_default();
    let line = if token.header {
        // Without a newline, as crane has it.
        format!("Authorization: Bearer {}", text(answer.any()))
    } else {
        let mut object = json!({"token": text(answer.any())});
        if let Some(access) = &answer.access_token {
            object["access_token"] = access.expose().into();
        }
        object["refresh_token"] = text(answer.refresh_token.as_ref()).into();
        object["expires_in"] = answer.expires_in.unwrap_or_default().into();
        format!("{object}\n")
    };
    let mut out = io::stdout();
    cli::printed(out.write_all(line.as_bytes()).and_then(|()| out.flush()))
}

/// A registry as people and `docker` write it: `https://index.docker.io/v1/` too.
fn parse(text: &str) -> Result<RegistryName, Failure> {
    let text = text.trim();
    let bare = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://")).unwrap_or(text);
    let host = bare.split('/').next().unwrap_or_default();
    host.parse().map_err(|error| Failure::usage(format!("{error}")))
}

fn logins() -> Result<Logins, Failure> {
    Logins::of(Environment::of_process()).ok_or_else(|| {
        Failure::new(Exit::Failed, "there is no place for credentials").hint("set HOME, or DOCKER_CONFIG")
    })
}

/// All of standard input but the line's end.
fn read_password() -> Result<Secret, Failure> {
    let mut text = String::new();
    let read = io::stdin().lock().take(LONGEST_PASSWORD).read_to_string(&mut text);
    read.map_err(|error| Failure::io("can't read the password from standard input", error))?;
    let password = Secret::new(text.trim_end_matches(['\r', '\n']));
    if password.expose().is_empty() { Err(Failure::usage("standard input holds no password")) } else { Ok(password) }
}

fn failed(error: impl std::fmt::Display) -> Failure {
    Failure::new(Exit::Failed, error.to_string())
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn registries_may_be_urls() {
        for (text, name) in [
            ("r.example:5000\n", Some("r.example:5000")),
            ("https://index.docker.io/v1/", Some("index.docker.io")),
            ("docker.io", Some("index.docker.io")),
            ("a b", None),
        ] {
            assert_eq!(parse(text).ok().map(|registry| registry.to_string()).as_deref(), name, "{text}");
        }
    }
}
