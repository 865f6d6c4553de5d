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
    let output = run(name, "get", server.as_bytes(), environment).await?;
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

/// Has `docker-credential-NAME` do something (`store`, `erase`) with this input. The error is the reason alone.
pub(super) async fn tell(name: &str, action: &str, input: &[u8], environment: &Environment) -> Result<(), String> {
    let output = run(name, action, input, environment).await?;
    match output.status.success() {
        true => Ok(()),
        // Helpers may repeat their input, which holds the secret: what they say is not shown.
        false => Err(format!("`{action}`: {}", output.status)),
    }
}

async fn run(
    name: &str,
    action: &str,
    input: &[u8],
    environment: &Environment,
) -> Result<std::process::Output, String> {
    if name.contains(['/', '\\']) {
        return Err("its name has a slash".to_owned());
    }
    let done = tokio::time::timeout(TIME_LIMIT, run_unlimited(name, action, input, environment)).await;
    done.map_err(|_| format!("it took longer than {} s", TIME_LIMIT.as_secs()))?
}

async fn run_unlimited(
    name: &str,
    action: &str,
    input: &[u8],
    environment: &Environment,
) -> Result<std::process::Output, String> {
    let program = format!("docker-credential-{name}");
    // With a changed environment the program is searched in the new PATH. A group of its own, so that what a script started ends
    // with it when it is given up.
    let mut child = Command::new(&program)
        .process_group(0)
        .arg(action)
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
    let group = Group(child.id());
    if let Some(mut stdin) = child.stdin.take() {
        // A helper that needs no input may be gone already; its answer tells.
        let _ = stdin.write_all(input).await;
    }
    let output = child.wait_with_output().await.map_err(|e| e.to_string());
    group.keep();
    output
}

/// The processes of a helper that has not answered. Dropped, it ends them all.
struct Group(Option<u32>);

impl Group {
    /// The helper has answered: what it leaves behind, such as an agent, is meant to stay.
    fn keep(mut self) {
        self.0 = None;
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        let leader = self.0.and_then(|id| rustix::process::Pid::from_raw(i32::try_from(id).ok()?));
        if let Some(leader) = leader {
            // They may be gone already.
            let _ = rustix::process::kill_process_group(leader, rustix::process::Signal::KILL);
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader};

    use super::*;

    #[tokio::test]
    async fn what_a_script_started_ends_with_it() {
        let mut child = Command::new("sh")
            .args(["-c", "sleep 1000 & echo ready; wait"])
            .process_group(0)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let group = Group(child.id());
        let mut output = BufReader::new(child.stdout.take().unwrap());
        let mut line = String::new();
        output.read_line(&mut line).await.unwrap();
        drop(group);
        // The sleeper holds the pipe too: it ends when both are gone.
        assert_eq!(output.read_to_string(&mut line).await.unwrap(), 0);
        assert!(!child.wait().await.unwrap().success());
    }
}
