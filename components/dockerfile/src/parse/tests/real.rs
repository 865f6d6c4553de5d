//! Row 22: Dockerfiles as people write them.

use super::*;

fn names(stage: &Stage) -> Vec<&'static str> {
    stage.instructions.iter().map(|instruction| instruction.kind.name()).collect()
}

#[test]
fn row_22_a_service_with_caches() {
    let parsed = file(include_str!("samples/service.Dockerfile"));
    let stages: Vec<_> = parsed.stages.iter().map(|stage| stage.name.as_deref()).collect();
    assert_eq!(stages, [Some("chef"), Some("planner"), Some("builder"), None]);
    assert_eq!(names(&parsed.stages[2]), ["ARG", "COPY", "RUN", "COPY", "RUN"]);
    let Kind::Run(build) = &parsed.stages[2].instructions[4].kind else { panic!() };
    assert_eq!(build.mounts.len(), 3);
    assert_eq!(
        build.command,
        shell(
            "set -eux;     cargo build --release --locked;     cp target/release/service /usr/local/bin/;     strip /usr/local/bin/service || true"
        )
    );
    let last = &parsed.stages[3];
    assert_eq!(names(last), ["RUN", "COPY", "COPY", "USER", "ENV", "EXPOSE", "HEALTHCHECK", "ENTRYPOINT", "CMD"]);
    assert_eq!(last.from.platform.as_ref().unwrap().raw, "${TARGETPLATFORM:-linux/amd64}");
    let Kind::Copy(config) = &last.instructions[2].kind else { panic!() };
    assert_eq!(
        config.heredocs[0].content,
        "[server]\nbind = \"0.0.0.0:${PORT}\"\n# a comment of the file\n\nworkers = 4\n"
    );
}

#[test]
fn row_22_an_old_file() {
    let parsed = file(include_str!("samples/old.Dockerfile"));
    let stage = &parsed.stages[0];
    assert_eq!(
        names(stage),
        [
            "MAINTAINER",
            "ENV",
            "ENV",
            "RUN",
            "RUN",
            "ADD",
            "VOLUME",
            "WORKDIR",
            "ONBUILD",
            "ONBUILD",
            "LABEL",
            "EXPOSE",
            "CMD"
        ]
    );
    assert_eq!(parsed.empty_continuations.len(), 1);
    let Kind::Env(pairs) = &stage.instructions[1].kind else { panic!() };
    assert_eq!((pairs[0].value.raw.as_str(), pairs[0].legacy), ("/usr/local/bin:$PATH:/opt/my dir/bin", true));
    let Kind::Run(install) = &stage.instructions[3].kind else { panic!() };
    let CommandForm::Shell(text) = &install.command else { panic!() };
    assert!(text.ends_with("&&\trm -rf /var/lib/apt/lists/*"), "{text}");
    assert!(!text.contains('#'), "{text}");
    let Kind::Run(awk) = &stage.instructions[4].kind else { panic!() };
    assert_eq!(awk.command, shell(r#"awk '{ print "<<EOF" $1 }' /etc/passwd | sed -e "s/\\$/x/" > /tmp/o # trailing"#));
    let Kind::Label(labels) = &stage.instructions[10].kind else { panic!() };
    assert_eq!(labels.iter().map(|pair| pair.key.raw.as_str()).collect::<Vec<_>>(), ["a.b/c", "description", "empty"]);
    assert_eq!(stage.instructions[12].kind, Kind::Cmd(shell("[ \"$1\" = x ] && exec y")));
}

#[test]
fn row_22_windows() {
    let parsed = file(&include_str!("samples/windows.Dockerfile").replace('\n', "\r\n"));
    let stage = &parsed.stages[0];
    assert_eq!(names(stage), ["SHELL", "RUN", "COPY", "WORKDIR", "CMD"]);
    let Kind::Run(run) = &stage.instructions[1].kind else { panic!() };
    assert_eq!(
        run.command,
        shell(
            "Invoke-WebRequest -Uri $env:URL -OutFile c:\\tools\\x.zip ;     Expand-Archive c:\\tools\\x.zip -DestinationPath c:\\"
        )
    );
    let Kind::Copy(copied) = &stage.instructions[2].kind else { panic!() };
    assert_eq!(copied.destination.raw, "c:\\app\\");
}
