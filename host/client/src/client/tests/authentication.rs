//! 401 and what follows from it.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::server::{Reply, Request, Server};
use super::*;
use crate::Error;

fn basic(user: &str, password: &str) -> String {
    format!("Basic {}", STANDARD.encode(format!("{user}:{password}")))
}

/// A registry that wants the token `t<n>` of its own `/token`, where n counts the tokens given out, and takes only the n that
/// `valid` accepts.
async fn bearer(
    valid: impl Fn(usize, &Request) -> bool + Send + Sync + 'static,
    token: impl Fn(&Request, usize) -> Reply + Send + Sync + 'static,
) -> Server {
    let given = std::sync::atomic::AtomicUsize::new(0);
    Server::start(move |request| {
        if request.target.starts_with("/token") {
            let n = given.fetch_add(1, std::sync::atomic::Ordering::SeqCst) + 1;
            return token(request, n);
        }
        let sent = request.header("authorization").strip_prefix("Bearer t");
        match sent.and_then(|n| n.parse().ok()) {
            Some(n) if valid(n, request) => Reply::new(200).body("{}"),
            _ => {
                let realm = format!("http://{}/token", request.header("host"));
                let scope = "repository:r:pull registry:catalog:*";
                Reply::new(401)
                    .header("www-authenticate", format!("Bearer realm=\"{realm}\",service=\"s\",scope=\"{scope}\""))
            }
        }
    })
    .await
}

fn token_reply(n: usize) -> Reply {
    Reply::new(200).body(format!(r#"{{"token":"t{n}","expires_in":300}}"#))
}

#[tokio::test]
async fn a_401_leads_to_a_token_that_is_kept() {
    let server = bearer(|_, _| true, |_, n| token_reply(n)).await;
    let (client, r) = (client_for(&server.host(), password("u", "p")), repository(&server.host(), "r"));
    client.manifest(&r, &tag("a")).await.unwrap();
    client.manifest(&r, &tag("b")).await.unwrap();
    let requests = server.requests();
    let lines: Vec<_> = requests.iter().map(|r| r.target.split('?').next().unwrap()).collect();
    assert_eq!(lines, ["/v2/r/manifests/a", "/token", "/v2/r/manifests/a", "/v2/r/manifests/b"]);
    assert_eq!(requests[0].header("authorization"), "");
    assert_eq!(requests[1].header("authorization"), basic("u", "p"));
    let query = &requests[1].target;
    assert!(query.contains("service=s"), "{query}");
    assert!(query.contains("scope=repository%3Ar%3Apull"), "{query}");
    assert!(query.contains("scope=registry%3Acatalog%3A*"), "{query}");
    assert_eq!(requests[3].header("authorization"), "Bearer t1");
}

#[tokio::test]
async fn a_refused_token_is_fetched_anew_once() {
    let server = bearer(|n, request| n == 2 || request.target.ends_with("/a"), |_, n| token_reply(n)).await;
    let (client, r) = (client(), repository(&server.host(), "r"));
    client.manifest(&r, &tag("a")).await.unwrap();
    client.manifest(&r, &tag("b")).await.unwrap();
    let tokens = server.lines().iter().filter(|l| l.contains("/token")).count();
    assert_eq!(tokens, 2);

    let never = bearer(|_, _| false, |_, n| token_reply(n)).await;
    let r = repository(&never.host(), "r");
    let error = client.manifest(&r, &tag("a")).await.unwrap_err();
    assert!(matches!(error, Error::Unauthorized { .. }), "{error}");
    assert_eq!(never.lines().len(), 3);
}

#[tokio::test]
async fn a_token_is_renewed_before_it_expires() {
    // Of one second, half is used.
    let short = |_: &Request, n| Reply::new(200).body(format!(r#"{{"token":"t{n}","expires_in":1}}"#));
    let server = bearer(|_, _| true, short).await;
    let (client, r) = (client(), repository(&server.host(), "r"));
    client.manifest(&r, &tag("a")).await.unwrap();
    tokio::time::sleep(Duration::from_millis(600)).await;
    client.manifest(&r, &tag("b")).await.unwrap();
    let lines = server.lines();
    let lines: Vec<_> = lines.iter().map(|l| l.split('?').next().unwrap()).collect();
    // The second token is fetched before anything is refused.
    assert_eq!(lines[2..], ["GET /v2/r/manifests/a", "GET /token", "GET /v2/r/manifests/b"]);
}

#[tokio::test]
async fn many_requests_fetch_one_token() {
    let server = bearer(|_, _| true, |_, n| token_reply(n)).await;
    let (client, r) = (client(), repository(&server.host(), "r"));
    let mut calls = tokio::task::JoinSet::new();
    for n in 0..20 {
        let (client, r) = (client.clone(), r.clone());
        calls.spawn(async move { client.manifest(&r, &tag(&format!("t{n}"))).await });
    }
    while let Some(done) = calls.join_next().await {
        done.unwrap().unwrap();
    }
    let fetched = server.lines().iter().filter(|l| l.contains("/token")).count();
    assert_eq!(fetched, 1);
}

#[tokio::test]
async fn an_identity_token_goes_by_oauth2_and_falls_back() {
    for oauth2 in [true, false] {
        let server = bearer(
            |_, _| true,
            move |request, n| match request.method.as_str() {
                "POST" if !oauth2 => Reply::new(405),
                "POST" => Reply::new(200).body(format!(r#"{{"access_token":"t{n}"}}"#)),
                _ => token_reply(n),
            },
        )
        .await;
        let identity = Credential::IdentityToken { secret: Secret::new("refresh&me"), source: "the test".to_owned() };
        let (client, r) = (client_for(&server.host(), identity), repository(&server.host(), "r"));
        client.manifest(&r, &tag("a")).await.unwrap();
        let requests = server.requests();
        let form = String::from_utf8(requests[1].body.clone()).unwrap();
        assert!(form.contains("grant_type=refresh_token"), "{form}");
        assert!(form.contains("refresh_token=refresh%26me"), "{form}");
        assert!(form.contains("service=s") && form.contains("scope=re"), "{form}");
        assert_eq!(requests[2].method == "GET" && requests[2].target.contains("/token"), !oauth2);
    }
}

#[tokio::test]
async fn basic_is_answered_with_the_password() {
    let server = Server::start(|request| match request.header("authorization") {
        "" => Reply::new(401).header("www-authenticate", "Basic realm=\"x\""),
        sent if sent == basic("u", "p") => Reply::new(200).body("{}"),
        _ => Reply::new(401).header("www-authenticate", "Basic realm=\"x\""),
    })
    .await;
    let r = repository(&server.host(), "r");
    let client = client_for(&server.host(), password("u", "p"));
    client.manifest(&r, &tag("a")).await.unwrap();
    client.manifest(&r, &tag("b")).await.unwrap();
    assert_eq!(server.lines().len(), 3);

    let wrong = client_for(&server.host(), password("u", "wrong"));
    let error = wrong.manifest(&r, &tag("a")).await.unwrap_err();
    let text = error.to_string();
    assert!(text.contains("user `u`, credentials from the test"), "{text}");
    assert!(text.contains("`repository:r:pull`") && !text.contains("wrong"), "{text}");
}

#[tokio::test]
async fn without_credentials_the_error_says_how_to_log_in() {
    let server = bearer(|_, _| false, |_, _| Reply::new(401).body(r#"{"details":"who are you"}"#)).await;
    let host = server.host();
    let r = repository(&host, "r");
    let error = client().check_push(&r).await.unwrap_err();
    let text = error.to_string();
    for words in [
        &format!("no credentials found for {host}"),
        "repository:r:pull,push",
        &format!("steprun auth login {host}"),
        "STEPRUN_127_0_0_1_",
        "who are you",
    ] {
        assert!(text.contains(words), "{words}: {text}");
    }
}

#[tokio::test]
async fn a_token_server_that_fails_is_tried_again() {
    let server = bearer(|_, _| true, |_, n| if n < 3 { Reply::new(503) } else { token_reply(n) }).await;
    let r = repository(&server.host(), "r");
    client().manifest(&r, &tag("a")).await.unwrap();
}

#[tokio::test]
async fn a_mount_asks_for_both_repositories() {
    let server = bearer(|_, _| true, |_, n| token_reply(n)).await;
    let host = server.host();
    let (to, from) = (repository(&host, "r"), repository(&host, "other"));
    let digest = sha256(b"x");
    // The scripted answer is no 201 or 202, which does not matter here.
    let _ = client().mount(&to, &digest, &from).await;
    let token = server.lines().into_iter().find(|l| l.contains("/token")).unwrap();
    assert!(token.contains("scope=repository%3Aother%3Apull&"), "{token}");
    assert!(token.contains("scope=repository%3Ar%3Apull%2Cpush"), "{token}");
}

#[tokio::test]
async fn credentials_stay_with_their_host() {
    let cdn = Server::start(|_| Reply::new(200).body("blob")).await;
    let target = format!("http://{}/elsewhere", cdn.host());
    let server = Server::start(move |request| match request.header("authorization") {
        "" => Reply::new(401).header("www-authenticate", "Basic realm=\"x\""),
        _ if request.target.ends_with("same") => Reply::new(200).body("{}"),
        _ if request.target.contains("manifests") => Reply::new(302).header("location", "/v2/r/same"),
        _ => Reply::new(307).header("location", &target),
    })
    .await;
    let (client, r) = (client_for(&server.host(), password("u", "p")), repository(&server.host(), "r"));
    let mut sink = Vec::new();
    let none = super::super::Progress::none();
    client.pull_blob(&r, &sha256(b"blob"), Some(4), &mut sink, &none).await.unwrap();
    assert_eq!(sink, b"blob");
    assert_eq!(cdn.requests()[0].header("authorization"), "");
    client.manifest(&r, &tag("x")).await.unwrap();
    assert_eq!(server.requests().last().unwrap().header("authorization"), basic("u", "p"));
}

#[tokio::test]
async fn a_401_of_another_host_is_no_challenge() {
    let cdn = Server::start(|_| Reply::new(401).header("www-authenticate", "Basic realm=\"x\"")).await;
    let target = format!("http://{}/elsewhere", cdn.host());
    let server = Server::start(move |_| Reply::new(307).header("location", &target)).await;
    let (client, r) = (client_for(&server.host(), password("u", "p")), repository(&server.host(), "r"));
    client.manifest(&r, &tag("x")).await.unwrap_err();
    assert_eq!(cdn.lines().len(), 1);
    assert_eq!(cdn.requests()[0].header("authorization"), "");
}
