//! Commands that only read.

use steprun_ports::{Arity, Command, FileAccess, Parameter, RegistryAccess, ValueKind};

use super::{command, file, format, image, jobs, platform, repository, source};

const WHICH: &str = "Which image of an index to take, linux/amd64 by default";

pub(super) fn commands() -> Vec<Command> {
    vec![
        blob(),
        cat(),
        catalog(),
        config(),
        diff(),
        digest(),
        export(),
        files(),
        index_list(),
        list(),
        manifest(),
        referrers(),
        size(),
        tree(),
        validate(),
        version(),
    ]
}

const fn tarball(summary: &'static str) -> Parameter {
    Parameter::option("tarball", ValueKind::File(FileAccess::Read), "FILE", summary)
}

fn blob() -> Command {
    command(
        "blob",
        "Prints a blob",
        "The bytes are printed as they are in the registry.\n\nsteprun promote blob registry.example/app@sha256:... | tar tz",
        vec![
            Parameter::operand(
                "blob",
                ValueKind::Image(RegistryAccess::Pull),
                "BLOB",
                "Blob to read: registry/repository@digest",
            ),
            file(),
        ],
    )
}

fn catalog() -> Command {
    command(
        "catalog",
        "Prints the repositories of a registry",
        "",
        vec![
            Parameter::operand("registry", ValueKind::Catalog, "REGISTRY", "Registry to list"),
            Parameter::flag("full-ref", "Print registry/repository"),
            format("How to print them"),
        ],
    )
}

fn referrers() -> Command {
    let kind = Parameter::option("artifact-type", ValueKind::Text, "TYPE", "Print those that are of this type");
    command(
        "referrers",
        "Prints the manifests that name an image as their subject: signatures, attestations",
        "A line for each: digest, type. They come from the registry's list of referrers, or from the tag that stands for it in older registries.",
        vec![source(), kind.repeated(), format("How to print them"), platform("Which image of an index to take")],
    )
}

fn tree() -> Command {
    command(
        "tree",
        "Prints an image with all that belongs to it",
        "The images of an index, and below each the manifests that name it as their subject.",
        vec![source(), format("How to print it"), jobs()],
    )
}

fn config() -> Command {
    let platform = platform("Which image of an index to read, linux/amd64 by default");
    command(
        "config",
        "Prints the config of an image",
        "The bytes are printed as they are in the registry; with JSON, on a line.\n\n\
         steprun promote config registry.example/app:v1 --select /config/Env",
        vec![source(), format("How to print it"), platform],
    )
}

fn digest() -> Command {
    let full = Parameter::flag("full-ref", "Print registry/repository@digest");
    command(
        "digest",
        "Prints the digest of an image",
        "",
        vec![
            source().arity(Arity::Optional),
            tarball("Take the image of this archive of `docker save`, or OCI layout"),
            full,
            format("How to print it"),
            platform("Which image of an index to take"),
        ],
    )
}

fn export() -> Command {
    let file = Parameter::operand(
        "tarball",
        ValueKind::File(FileAccess::Write),
        "TARBALL",
        "Where to write, `-` for standard output",
    )
    .arity(Arity::Optional)
    .default("-");
    command(
        "export",
        "Writes the file system of an image as a tar archive",
        "The layers are flattened: files that a later layer deletes are gone.\n\nsteprun promote export alpine - | tar t",
        vec![source(), file, platform(WHICH)],
    )
}

fn files() -> Command {
    command(
        "files",
        "Prints the paths of all files of an image",
        "Directories end with a slash. With JSON, each line is an object with the properties of a file; a part that a file does not have is `null`.",
        vec![source(), format("How to print them"), platform(WHICH)],
    )
}

fn cat() -> Command {
    command(
        "cat",
        "Prints a file of an image",
        "Symlinks are followed inside of the image.\n\nsteprun promote cat alpine etc/os-release",
        vec![source(), Parameter::operand("path", ValueKind::Text, "PATH", "File to read"), file(), platform(WHICH)],
    )
}

fn diff() -> Command {
    let only = Parameter::option(
        "only",
        ValueKind::Choice(&["manifest", "config", "files"]),
        "PART",
        "Compare only this part",
    );
    command(
        "diff",
        "Prints in what two images differ",
        "A line for each difference: `+` is in B alone, `-` in A alone, `~` is different. Files are equal if all but the time of their \
         change is; those of one size and different times are read.",
        vec![
            image("a", RegistryAccess::Pull, "A", "Image to compare"),
            image("b", RegistryAccess::Pull, "B", "Image to compare it with"),
            only.repeated(),
            Parameter::flag("exit-code", "Fail if there is a difference"),
            format("How to print them"),
            platform(WHICH),
        ],
    )
}

fn index_list() -> Command {
    command(
        "index-list",
        "Prints what an index holds",
        "",
        vec![image("image", RegistryAccess::Pull, "INDEX", "Index to read"), format("How to print it")],
    )
}

fn list() -> Command {
    command(
        "ls",
        "Prints the tags of a repository",
        "",
        vec![
            repository("repository", RegistryAccess::Pull, "REPO", "Repository to list"),
            Parameter::flag("full-ref", "Print registry/repository:tag"),
            Parameter::flag("omit-digest-tags", "Leave out tags that stand for digests (`sha256-...`)").short('O'),
            format("How to print them"),
        ],
    )
}

fn manifest() -> Command {
    let platform = platform("Which image of an index to take");
    command(
        "manifest",
        "Prints the manifest of an image",
        "The bytes are printed as they are in the registry; with JSON, a summary of them.",
        vec![source(), format("How to print it"), platform],
    )
}

fn size() -> Command {
    command(
        "size",
        "Prints how many bytes an image has in its registry",
        "Config and compressed layers. An index gives a line for each of its images, with the platform.",
        vec![source(), format("How to print it"), jobs(), platform("Which image of an index to take")],
    )
}

fn validate() -> Command {
    let remote = Parameter::option("remote", ValueKind::Place(RegistryAccess::Pull), "IMAGE", "Image to check");
    command(
        "validate",
        "Checks that an image is whole",
        "Reads all manifests, configs and layers and compares them with their digests. Prints `PASS: IMAGE`, or `FAIL: IMAGE: ...` and fails; with JSON, an object \
         with `image`, `valid` and `error`.",
        vec![
            remote,
            tarball("Archive of `docker save`, or OCI layout, to check"),
            Parameter::flag("fast", "Don't read the layers"),
            format("How to print the outcome"),
            jobs(),
            platform("Check one image of an index"),
        ],
    )
}

fn version() -> Command {
    command("version", "Prints the version", "", Vec::new())
}
