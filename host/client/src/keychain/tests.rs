//! The order of places, and the helpers.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use super::*;

async fn find(keychain: &Keychain, name: &str) -> Result<Option<String>, KeychainError> {
    let found = keychain.credential(&name.parse().unwrap()).await?;
    Ok(found.map(|credential| match &credential {
        Credential::Password { username, secret, .. } => {
            format!("{username}:{} from {}", secret.expose(), credential.source())
        }
        Credential::IdentityToken { secret, .. } => {
            format!("identity {} from {}", secret.expose(), credential.source())
        }
        Credential::RegistryToken { secret, .. } => {
            format!("token {} from {}", secret.expose(), credential.source())
        }
    }))
}

fn keychain(variables: &[(&str, &str)]) -> Keychain {
    Keychain::new(Environment::new(variables.iter().copied()))
}

fn config(user: &str) -> String {
    format!(r#"{{"auths":{{"a.io":{{"username":"{user}","password":"p"}}}}}}"#)
}

fn write(path: &Path, text: &str) -> String {
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, text).unwrap();
    path.to_str().unwrap().to_owned()
}

#[tokio::test]
async fn the_first_place_wins() {
    let directory = tempfile::tempdir().unwrap();
    let home = directory.path();
    let home_text = home.to_str().unwrap();
    write(&home.join(".docker/config.json"), &config("home"));
    write(&home.join("docker/config.json"), &config("docker"));
    write(&home.join("run/containers/auth.json"), &config("runtime"));
    write(&home.join(".config/containers/auth.json"), &config("xdg"));
    let auth_file = write(&home.join("auth.json"), &config("authfile"));
    let docker = home.join("docker");
    let run = home.join("run");
    let json = config("inline");
    let mut variables = vec![("CI_REGISTRY", "a.io"), ("CI_REGISTRY_USER", "gitlab"), ("CI_REGISTRY_PASSWORD", "p")];
    let places: [(&[(&str, &str)], &str); 7] = [
        (&[], "gitlab:p from CI_REGISTRY_USER and CI_REGISTRY_PASSWORD"),
        (&[("HOME", home_text)], "home:p from ~/.docker/config.json"),
        (&[("REGISTRY_AUTH_FILE", &auth_file)], "home:p from ~/.docker/config.json"),
        (&[("DOCKER_CONFIG", docker.to_str().unwrap())], "docker:p from ~/docker/config.json"),
        (&[("DOCKER_AUTH_CONFIG", &json)], "inline:p from DOCKER_AUTH_CONFIG"),
        (
            &[("KANIKO_A_IO_USER", "k"), ("KANIKO_A_IO_PASSWORD", "p")],
            "k:p from KANIKO_A_IO_USER and KANIKO_A_IO_PASSWORD",
        ),
        (
            &[("STEPRUN_A_IO_USER", "s"), ("STEPRUN_A_IO_PASSWORD", "p")],
            "s:p from STEPRUN_A_IO_USER and STEPRUN_A_IO_PASSWORD",
        ),
    ];
    for (more, expected) in places {
        variables.extend_from_slice(more);
        let found = find(&keychain(&variables), "a.io/x").await.unwrap();
        assert_eq!(found.as_deref(), Some(expected));
    }
    // Without Docker's own files those of containers come in turn.
    std::fs::remove_dir_all(home.join(".docker")).unwrap();
    let mut variables = vec![("HOME", home_text)];
    for (more, expected) in [
        (None, "xdg:p from ~/.config/containers/auth.json"),
        (Some(("XDG_RUNTIME_DIR", run.to_str().unwrap())), "runtime:p from ~/run/containers/auth.json"),
        (Some(("REGISTRY_AUTH_FILE", &auth_file)), "authfile:p from ~/auth.json"),
        (Some(("DOCKER_AUTH_CONFIG", &auth_file)), "authfile:p from ~/auth.json"),
    ] {
        variables.extend(more);
        let found = find(&keychain(&variables), "a.io/x").await.unwrap();
        assert_eq!(found.as_deref(), Some(expected));
    }
    assert_eq!(find(&keychain(&variables), "b.io/x").await.unwrap(), None);
}

#[tokio::test]
async fn what_the_caller_gave_comes_first_and_the_longest_scope_wins() {
    let given = |user: &str| docker_config::login(user, "p", "flag".to_owned());
    let keychain = keychain(&[("STEPRUN_A_IO_USER", "s"), ("STEPRUN_A_IO_PASSWORD", "p")])
        .with_credential("a.io/team", given("team"))
        .with_credential("a.io/team/app", given("app"));
    for (name, expected) in [
        ("a.io/team/app", "app:p from flag"),
        ("a.io/team/other", "team:p from flag"),
        ("a.io/x", "s:p from STEPRUN_A_IO_USER and STEPRUN_A_IO_PASSWORD"),
    ] {
        assert_eq!(find(&keychain, name).await.unwrap().as_deref(), Some(expected));
    }
}

#[tokio::test]
async fn variables_name_the_host_with_or_without_the_port() {
    let keychain = keychain(&[
        ("STEPRUN_REGISTRY_MY_CORP_DE_5000_USER", "port"),
        ("STEPRUN_REGISTRY_MY_CORP_DE_5000_PASSWORD", "p"),
        ("STEPRUN_REGISTRY_MY_CORP_DE_USER", "host"),
        ("STEPRUN_REGISTRY_MY_CORP_DE_PASSWORD", "p"),
        ("STEPRUN_HALF_IO_USER", "u"),
    ]);
    for (name, user) in [
        ("registry.my-corp.de:5000/x", "port:"),
        ("registry.my-corp.de:6000/x", "host:"),
        ("registry.my-corp.de/x", "host:"),
    ] {
        let found = find(&keychain, name).await.unwrap().unwrap();
        assert!(found.starts_with(user), "{found}");
    }
    let error = find(&keychain, "half.io/x").await.unwrap_err().to_string();
    assert!(error.contains("STEPRUN_HALF_IO_PASSWORD is not set"), "{error}");
}

#[tokio::test]
async fn gitlab_credentials_are_for_gitlabs_host_only() {
    let keychain = keychain(&[
        ("CI_REGISTRY", "git.io:5050"),
        ("CI_REGISTRY_USER", "u"),
        ("CI_REGISTRY_PASSWORD", "p"),
        ("CI_DEPENDENCY_PROXY_SERVER", "git.io:443"),
        ("CI_DEPENDENCY_PROXY_USER", "proxy"),
        ("CI_DEPENDENCY_PROXY_PASSWORD", "p"),
    ]);
    for (name, user) in [("git.io:5050/x", Some("u:p")), ("git.io/x", Some("proxy:p")), ("debian", None)] {
        let found = find(&keychain, name).await.unwrap();
        let found = found.as_deref().and_then(|f| f.split(' ').next());
        assert_eq!(found, user, "{name}");
    }
}

#[tokio::test]
async fn broken_places_are_errors() {
    let directory = tempfile::tempdir().unwrap();
    let file = write(&directory.path().join("config.json"), "{\n oops");
    let as_directory = [("DOCKER_CONFIG", directory.path().to_str().unwrap())];
    let error = find(&keychain(&as_directory), "a.io/x").await.unwrap_err();
    let text = error.to_string();
    assert!(text.contains("config.json") && text.contains("line 2"), "{text}");
    let error = find(&keychain(&[("DOCKER_CONFIG", &file)]), "a.io/x").await.unwrap_err();
    assert!(error.to_string().contains("must name the directory"), "{error}");
    let error = find(&keychain(&[("DOCKER_AUTH_CONFIG", "user:secret")]), "a.io/x").await;
    let text = error.unwrap_err().to_string();
    assert!(text.contains("DOCKER_AUTH_CONFIG") && !text.contains("secret"), "{text}");
}

/// A keychain whose configuration names the helper `test`, which is this shell script.
fn with_helper(directory: &Path, script: &str) -> Keychain {
    let helper = directory.join("docker-credential-test");
    std::fs::write(&helper, format!("#!/bin/sh\n{script}\n")).unwrap();
    std::fs::set_permissions(&helper, std::fs::Permissions::from_mode(0o755)).unwrap();
    let json = r#"{"credHelpers":{"a.io":"test","docker.io":"test"},"auths":{"a.io":{"username":"u","password":"p"}}}"#;
    let path = format!("{}:/usr/bin:/bin", directory.display());
    keychain(&[("PATH", &path), ("DOCKER_AUTH_CONFIG", json)])
}

#[tokio::test]
async fn helpers_answer_once_for_their_hosts_only() {
    let directory = tempfile::tempdir().unwrap();
    let log = directory.path().join("log");
    let keychain = with_helper(
        directory.path(),
        &format!(
            r#"server=$(cat); echo "$1 $server" >> {}; echo "{{\"ServerURL\":\"x\",\"Username\":\"<token>\",\"Secret\":\"$server\"}}""#,
            log.display()
        ),
    );
    for (name, expected) in [
        ("a.io/x", Some("identity a.io from docker-credential-test (DOCKER_AUTH_CONFIG)")),
        ("a.io/y", Some("identity a.io from docker-credential-test (DOCKER_AUTH_CONFIG)")),
        ("debian", Some("identity https://index.docker.io/v1/ from docker-credential-test (DOCKER_AUTH_CONFIG)")),
        ("b.io/x", None),
    ] {
        assert_eq!(find(&keychain, name).await.unwrap().as_deref(), expected);
    }
    let asked = std::fs::read_to_string(log).unwrap();
    assert_eq!(asked, "get a.io\nget https://index.docker.io/v1/\n");
}

#[tokio::test]
async fn a_helper_without_an_answer_leaves_the_rest() {
    let directory = tempfile::tempdir().unwrap();
    let script = "echo credentials not found in native keychain; exit 1";
    let keychain = with_helper(directory.path(), script);
    let found = find(&keychain, "a.io/x").await.unwrap();
    assert_eq!(found.as_deref(), Some("u:p from DOCKER_AUTH_CONFIG"));
}

#[tokio::test]
async fn a_helper_that_fails_is_an_error() {
    let directory = tempfile::tempdir().unwrap();
    for (script, words) in [("echo no metadata server; exit 3", "no metadata server"), ("echo hunter2", "not the JSON")]
    {
        let keychain = with_helper(directory.path(), script);
        let error = find(&keychain, "a.io/x").await.unwrap_err().to_string();
        assert!(error.contains(words) && error.contains("DOCKER_AUTH_CONFIG"), "{error}");
        assert!(!error.contains("hunter2"), "{error}");
    }
    let missing = keychain(&[("PATH", "/nowhere"), ("DOCKER_AUTH_CONFIG", r#"{"credsStore":"gone"}"#)]);
    let error = find(&missing, "a.io/x").await.unwrap_err().to_string();
    assert!(error.contains("no `docker-credential-gone` in PATH"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn a_helper_that_hangs_is_killed() {
    let directory = tempfile::tempdir().unwrap();
    let keychain = with_helper(directory.path(), "exec sleep 1000");
    let error = find(&keychain, "a.io/x").await.unwrap_err().to_string();
    assert!(error.contains("longer than 20 s"), "{error}");
}
