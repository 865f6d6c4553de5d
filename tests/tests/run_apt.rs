//! A Dockerfile as people write them, with the network: packages, a compiler, stages, a cache, a secret.

use steprun_tests::{Context, Place, Registry, each, layout_of, rootfs::Debian, unpack};

const DOCKERFILE: &str = r#"
RUN --mount=type=cache,target=/var/cache/apt,sharing=locked <<EOF
set -e
rm -f /etc/apt/apt.conf.d/docker-clean
apt-get update
apt-get install -y --no-install-recommends curl git gcc libc6-dev
rm -rf /var/lib/apt/lists/*
EOF
WORKDIR /src
COPY hello.c .
RUN gcc -O1 -static -o hello hello.c && ./hello
RUN --mount=type=secret,id=token,required=true test "$(cat /run/secrets/token)" = hunter2
RUN git init -q . && git -c user.name=a -c user.email=a@example.org commit -q --allow-empty -m first && git log --format=%s > log
RUN curl --version > curl

FROM scratch
COPY --from=build /src/hello /src/log /src/curl /
CMD ["/hello"]
"#;

#[test]
fn an_image_is_built_with_packages_of_the_network() {
    let registry = Registry::plain();
    Debian::get().push(&registry, "debian:1");
    let dockerfile = format!("FROM {} AS build{DOCKERFILE}", registry.image("debian:1"));
    let program = "#include <stdio.h>\nint main(void) { return puts(\"hello from a RUN\") < 0; }\n";
    let context = Context::with_dockerfile(&dockerfile).file("hello.c", program).file("token", "hunter2");
    each(Place::ALL, |place| {
        let inside = place.enter(&[context.path()]);
        let image = format!("app:{place:?}").to_lowercase();
        let secret = format!("id=token,src={}/token", context.path().display());
        inside
            .build(
                context.path(),
                &registry.image(&image),
                &["--allow-net", "--secret", &secret, "--progress", "plain"],
            )
            .env("SOURCE_DATE_EPOCH", "1600000000")
            .run()
            .succeeded()
            .says(&["hello from a RUN"]);
        let directory = tempfile::tempdir().unwrap();
        let root = unpack(&layout_of(&registry, &image, directory.path()), "image", directory.path());
        let made = std::process::Command::new(root.join("hello")).output().unwrap();
        assert_eq!(String::from_utf8_lossy(&made.stdout), "hello from a RUN\n");
        assert_eq!(std::fs::read_to_string(root.join("log")).unwrap(), "first\n");
        assert!(std::fs::read_to_string(root.join("curl")).unwrap().starts_with("curl "));
        inside.comes_to_rest();
        assert_eq!(inside.leftovers().len(), 0, "{:?}", inside.leftovers());
    });
}
