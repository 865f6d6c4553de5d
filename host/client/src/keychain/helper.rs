//! Docker credential helpers: programs that are asked for the credentials of one server.

use std::process::Stdio;
use std::time::Duration;

use serde::Deserialize;
use tokio::io::AsyncWriteExt;
use tokio::process::Command;

use super::docker_config::login;
use super::{Credential, Environment};

/// How long a helper may take. Those of clouds ask a metadata service and stall for minutes where there is none.
const TIME_LIMIT: Duration = Duration::from_secs(20);

/// What helpers print when they have nothing (docker-credential-helpers, `errCredentialsNotFoundMessage`).
const NOT_FOUND: &str = "credentials not found in native keychain";

/// The answer of `docker-credential-X get`.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Answer {
    username: String,
    secret: String,
}

/// Asks `docker-credential-NAME` for the credentials of `server`. The error is the reason alone.
pub(super) async fn ask(
    name: &str,
    server: &str,
    source: String,
    environment: &Environment,
) -> Result<Option<Credential>, String> {
    if name.contains(['/', '\\']) {
        return Err("its name has a slash".to_owned());
    }
    let output = tokio::time::timeout(TIME_LIMIT, run(name, server, environment))
        .await
        .map_err(|_| format!("it took longer than {} s", TIME_LIMIT.as_secs()))??;
    let text = String::from_utf8_lossy(&output.stdout);
    if !output.status.success() {
        // The message goes to stdout by the protocol; it never holds a secret then.
        let said = text.trim();
        return match said {
            NOT_FOUND => Ok(None),
            "" => Err(format!("{}", output.status)),
            said => Err(format!("{}: {said}", output.status)),
        };
    }
    let answer: Answer = serde_json::from_str(&text)
        .map_err(|_| "its answer is not the JSON of the credential-helper protocol".to_owned())?;
    if answer.secret.is_empty() {
        return Ok(None);
    }
    Ok(Some(login(&answer.username, &answer.secret, source)))
}

async fn run(name: &str, server: &str, environment: &Environment) -> Result<std::process::Output, String> {
    let program = format!("docker-credential-{name}");
    // With a changed environment the program is searched in the new PATH.
    let mut child = Command::new(&program)
        .arg("get")
        .env_clear()
        .envs(environment.variables())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .map_err(|e| match e.kind() {
            std::io::ErrorKind::NotFound => format!("there is no `{program}` in PATH"),
            _ => e.to_string(),
        })?;
    if let Some(mut stdin) = child.stdin.take() {
        // A helper that needs no input may be gone already; its answer tells.
        let _ = stdin.write_all(server.as_bytes()).await;
    }
    child.wait_with_output().await.map_err(|e| e.to_string())
}
