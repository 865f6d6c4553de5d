//! The command line: crane's names and flags, typed.

use steprun_ports::{Arity, Command, Description, FileAccess, Parameter, RegistryAccess, ValueKind};

const ALL: &str = "all";

/// The step's commands.
pub fn describe() -> Description {
    Description {
        name: "promote",
        version: env!("CARGO_PKG_VERSION"),
        summary: "Copies, tags, inspects and extends images in registries",
        commands: vec![append(), config(), copy(), delete(), digest(), export(), list(), manifest(), tag()],
    }
}

const fn image(
    name: &'static str,
    access: RegistryAccess,
    value_name: &'static str,
    summary: &'static str,
) -> Parameter {
    Parameter::operand(name, ValueKind::Image(access), value_name, summary)
}

const fn source() -> Parameter {
    image("image", RegistryAccess::Pull, "IMAGE", "Image to read")
}

const fn platform(summary: &'static str) -> Parameter {
    Parameter::option("platform", ValueKind::Text, "OS/ARCH[/VARIANT][:OSVERSION]", summary).default(ALL)
}

const fn foreign() -> Parameter {
    Parameter::flag(
        "allow-nondistributable-artifacts",
        "Also push layers whose media type says that they may not be distributed",
    )
}

const fn jobs() -> Parameter {
    Parameter::option("jobs", ValueKind::Integer, "N", "How many blobs are transferred at the same time")
        .short('j')
        .default("4")
}

fn command(name: &'static str, summary: &'static str, details: &'static str, parameters: Vec<Parameter>) -> Command {
    Command { name, aliases: &[], summary, details, parameters }
}

fn append() -> Command {
    command(
        "append",
        "Adds layers to an image",
        "Pushes the base image with the layers on top under a new tag and prints the result as registry/repository@digest. \
         Of an index, the image for linux/amd64 is taken unless --platform says otherwise.\n\n\
         tar cf - site | steprun promote append -b nginx -f - -t registry.example/site:v1",
        vec![
            Parameter::option(
                "base",
                ValueKind::Image(RegistryAccess::Pull),
                "IMAGE",
                "Image to extend; an empty one if absent",
            )
            .short('b'),
            Parameter::option(
                "new_layer",
                ValueKind::File(FileAccess::Read),
                "FILE",
                "Tar archive to add as a layer, `-` for standard input",
            )
            .short('f')
            .aliases(&["new-layer"])
            .arity(Arity::RepeatedRequired),
            Parameter::option(
                "new_tag",
                ValueKind::Image(RegistryAccess::Push),
                "IMAGE",
                "Name of the result; required unless --output is given",
            )
            .short('t')
            .aliases(&["new-tag"]),
            Parameter::option(
                "output",
                ValueKind::File(FileAccess::Write),
                "FILE",
                "Write the result as an archive for `docker load` instead of pushing it",
            )
            .short('o'),
            Parameter::flag("set-base-image-annotations", "Name the base image in the annotations of the result"),
            Parameter::flag("oci-empty-base", "Give an image without base OCI media types instead of Docker's"),
            foreign(),
            jobs(),
            platform("Which image of an index to extend; what the result runs on if there is no base"),
        ],
    )
}

fn config() -> Command {
    let platform = platform("Which image of an index to read, linux/amd64 by default");
    command(
        "config",
        "Prints the config of an image",
        "The bytes are printed as they are in the registry.",
        vec![source(), platform],
    )
}

fn copy() -> Command {
    Command {
        name: "copy",
        aliases: &["cp"],
        summary: "Copies an image, keeping its digest",
        details: "An index is copied with all its images unless --platform narrows it to one. What the destination has is not copied again.\n\n\
                  steprun promote copy staging.example/app:v1 registry.example/app:v1",
        parameters: vec![
            image("source", RegistryAccess::Pull, "SRC", "Image to copy; a repository with --all-tags"),
            image("destination", RegistryAccess::Push, "DST", "Where to copy it; a repository with --all-tags"),
            Parameter::flag("all-tags", "Copy every tag of the repository").short('a'),
            Parameter::flag("no-clobber", "Leave tags alone that the destination has").short('n'),
            foreign(),
            jobs(),
            platform("Copy one image of an index"),
        ],
    }
}

fn delete() -> Command {
    let image = image("image", RegistryAccess::Delete, "IMAGE", "Tag or digest to delete");
    command(
        "delete",
        "Deletes an image from its registry",
        "Deletes what is named: a tag, or with a digest the manifest.",
        vec![image],
    )
}

fn digest() -> Command {
    let full = Parameter::flag("full-ref", "Print registry/repository@digest");
    command(
        "digest",
        "Prints the digest of an image",
        "",
        vec![source(), full, platform("Which image of an index to take")],
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
    let platform = platform("Which image of an index to take, linux/amd64 by default");
    command(
        "export",
        "Writes the file system of an image as a tar archive",
        "The layers are flattened: files that a later layer deletes are gone.\n\nsteprun promote export alpine - | tar t",
        vec![source(), file, platform],
    )
}

fn list() -> Command {
    let repository =
        Parameter::operand("repository", ValueKind::Repository(RegistryAccess::Pull), "REPO", "Repository to list");
    command(
        "ls",
        "Prints the tags of a repository",
        "",
        vec![
            repository,
            Parameter::flag("full-ref", "Print registry/repository:tag"),
            Parameter::flag("omit-digest-tags", "Leave out tags that stand for digests (`sha256-...`)").short('O'),
        ],
    )
}

fn manifest() -> Command {
    let platform = platform("Which image of an index to take");
    command(
        "manifest",
        "Prints the manifest of an image",
        "The bytes are printed as they are in the registry.",
        vec![source(), platform],
    )
}

fn tag() -> Command {
    let tag = Parameter::operand("tag", ValueKind::Text, "TAG", "New tag, without the repository's name")
        .arity(Arity::RepeatedRequired);
    let image = image("image", RegistryAccess::Push, "IMAGE", "Image to tag");
    command(
        "tag",
        "Tags an image in its repository",
        "No blob is transferred.\n\nsteprun promote tag registry.example/app:v1 latest",
        vec![image, tag],
    )
}
