//! Debian's registry with what guards registries: TLS by a private authority, and passwords.

use steprun_tests::{Base, Context, Layer, Registry, User, fake, inspect};

fn context(registry: &Registry) -> Context {
    Base::new(serde_json::json!({})).layer(Layer::new().file("base", 0o644, (0, 0), b"")).push(registry, "base:1");
    Context::with_dockerfile(&format!("FROM {}\nCOPY a /\n", registry.image("base:1"))).file("a", "A")
}

#[test]
fn plain() {
    let (user, registry) = (User::new(), Registry::plain());
    let digest = user
        .succeeds(["build", "-c", context(&registry).path().to_str().unwrap(), "-d", &registry.image("app:1")])
        .digest();
    assert_eq!(inspect(&registry, "app:1", false)["Digest"], digest);
}

#[test]
fn private_authority_by_flag() {
    let (user, registry) = (User::new(), Registry::tls());
    let context = context(&registry);
    let trust = format!("{}={}", registry.address(), registry.authority().display());
    let arguments = [
        "--registry-certificate",
        &trust,
        "build",
        "-c",
        context.path().to_str().unwrap(),
        "-d",
        &registry.image("app:1"),
    ];
    let digest = user.succeeds(arguments).digest();
    assert_eq!(inspect(&registry, "app:1", false)["Digest"], digest);
}

#[test]
fn private_authority_by_environment() {
    let (user, registry) = (User::new(), Registry::tls());
    let context = context(&registry);
    let digest = user
        .steprun(["build", "-c", context.path().to_str().unwrap(), "-d", &registry.image("app:1")])
        .env("SSL_CERT_FILE", registry.authority())
        .run()
        .succeeded()
        .digest();
    assert_eq!(inspect(&registry, "app:1", false)["Digest"], digest);
}

#[test]
fn unknown_authority_is_refused() {
    let (user, registry) = (User::new(), Registry::tls());
    let context = context(&registry);
    let arguments =
        ["--registry-tries", "1", "build", "-c", context.path().to_str().unwrap(), "-d", &registry.image("app:1")];
    user.fails(5, arguments).prints_nothing().says(&[registry.address(), "certificate"]);
    assert_eq!(registry.repositories(), ["base"]);
}

#[test]
fn password_from_docker_config() {
    let (user, registry) = (User::new(), Registry::htpasswd());
    let context = context(&registry);
    registry.write_credentials(&user.home().join("docker"));
    let image = registry.image("app:1");
    let digest = user
        .steprun(["build", "-c", context.path().to_str().unwrap(), "-d", &image])
        .env("DOCKER_CONFIG", user.home().join("docker"))
        .run()
        .succeeded()
        .digest();
    assert_eq!(inspect(&registry, "app:1", false)["Digest"], digest);
    let asked =
        user.steprun(["promote", "digest", &image]).env("DOCKER_CONFIG", user.home().join("docker")).run().succeeded();
    assert_eq!(asked.line(), digest);
}

#[test]
fn password_from_home() {
    let (user, registry) = (User::new(), Registry::htpasswd());
    let context = context(&registry);
    registry.write_credentials(&user.home().join(".docker"));
    user.succeeds(["build", "-c", context.path().to_str().unwrap(), "-d", &registry.image("app:1")]);
}

#[test]
fn missing_password_is_a_failure_before_the_build() {
    let (user, registry) = (User::new(), Registry::htpasswd());
    let context = Context::with_dockerfile("FROM scratch\nCOPY a /\n").file("a", "A");
    user.fails(1, ["build", "-c", context.path().to_str().unwrap(), "-d", &registry.image("app:1")])
        .prints_nothing()
        .says(&[registry.address(), "credentials"]);
    assert!(registry.repositories().is_empty());
}

#[test]
fn credentials_never_show() {
    let (user, registry) = (User::new(), Registry::htpasswd());
    registry.write_credentials(&user.home().join(".docker"));
    let outcome = user.fails(1, ["promote", "digest", &registry.image("missing:1")]);
    assert!(!outcome.stderr.contains("correct horse"), "{}", outcome.stderr);
}

#[test]
fn password_goes_to_its_registry_alone() {
    let (user, registry) = (User::new(), Registry::htpasswd());
    registry.write_credentials(&user.home().join(".docker"));
    let other = fake::Fake::serve(|_| {
        fake::Response::error(401, "UNAUTHORIZED").header("WWW-Authenticate", "Basic realm=\"trap\"")
    });
    user.fails(1, ["promote", "digest", &other.image("app:1")]);
    for request in other.requests() {
        assert!(request.headers.iter().all(|(name, _)| name != "authorization"), "{request:?}");
    }
}
