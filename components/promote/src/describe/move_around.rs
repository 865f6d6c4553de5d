//! Commands that bring images to places, and take names away.

use steprun_ports::{Arity, Command, FileAccess, Parameter, RegistryAccess, ValueKind};

use super::{command, foreign, format, image, jobs, platform, platforms, repeated_required, repository, text};

pub(super) fn commands() -> Vec<Command> {
    vec![apply(), copy(), delete(), layout_gc(), r#move(), pull(), push(), retention(), sync(), tag()]
}

fn copy() -> Command {
    Command {
        name: "copy",
        aliases: &["cp"],
        summary: "Copies an image, keeping its digest",
        details: "An index is copied with all its images unless --platform narrows it: to one image, or of several platforms to an index \
                  of those and their attestations. What the destination has is not copied again. SRC and DST may also be `oci:DIR[:NAME]`, \
                  `oci-archive:FILE[:NAME]`, `docker-archive:FILE[:NAME]` or `dir:DIR`, as IMAGE of other commands may.\n\n\
                  steprun promote copy staging.example/app:v1 registry.example/app:v1",
        parameters: vec![
            image("source", RegistryAccess::Pull, "SRC", "Image to copy; a repository with --all-tags"),
            image("destination", RegistryAccess::Push, "DST", "Where to copy it; a repository with --all-tags"),
            Parameter::flag("all-tags", "Copy every tag of the repository").short('a'),
            Parameter::flag(
                "digest-tags",
                "Also copy tags that belong to the image's digests: signatures, attestations",
            ),
            Parameter::flag(
                "referrers",
                "Also copy the manifests that name the image as their subject: signatures, attestations",
            ),
            Parameter::option(
                "recompress",
                ValueKind::Choice(&["gzip", "zstd"]),
                "COMPRESSION",
                "Compress layers in this way that are not: the copy gets another digest, and no attestations",
            ),
            Parameter::flag("no-clobber", "Leave tags alone that the destination has").short('n'),
            foreign(),
            jobs(),
            platforms("Copy these images of an index: one or several platforms, comma-separated"),
        ],
    }
}

fn r#move() -> Command {
    command(
        "move",
        "Copies an image and deletes the tag that it had",
        "The manifest stays where it was: other tags may stand for it.\n\n\
         steprun promote move registry.example/staging/app:v1 registry.example/app:v1",
        vec![
            image("source", RegistryAccess::Delete, "SRC", "Tag to move"),
            image("destination", RegistryAccess::Push, "DST", "Where to move it"),
            foreign(),
            jobs(),
        ],
    )
}

fn sync() -> Command {
    command(
        "sync",
        "Copies the tags of a repository that another lacks",
        "Tags that stand for the same image on both sides are left alone, and none is deleted. In patterns, `*` is any text and `?` one \
         character; a tag is taken if one of --include, one of --regex and none of --exclude fits, and if it is in the range of --semver. \
         A kind of condition that is absent lets all tags pass.\n\n\
         steprun promote sync library/nginx registry.example/nginx --semver '>=1.26' --exclude '*-perl'\n\n\
         steprun promote sync library/debian registry.example/debian --regex '^bookworm-\\d{8}(-slim)?$'",
        vec![
            repository("source", RegistryAccess::Pull, "SRC", "Repository to read"),
            repository("destination", RegistryAccess::Push, "DST", "Repository to fill"),
            text("include", "PATTERN", "Take tags that fit; all if absent").repeated(),
            text("exclude", "PATTERN", "Leave tags out that fit").repeated(),
            text("regex", "EXPRESSION", "Take tags in which the regular expression is found: `^v\\d+\\.\\d+$`")
                .repeated(),
            text("semver", "RANGE", "Take tags that are versions of this range: `^1.4`, `>=1.2 <2`, `1.2 || 3`"),
            dry_run(),
            format("How --dry-run prints it"),
            Parameter::flag("no-clobber", "Leave tags alone that the destination has").short('n'),
            foreign(),
            jobs(),
            platforms("Copy these images of an index: one or several platforms, comma-separated"),
        ],
    )
}

const fn dry_run() -> Parameter {
    Parameter::flag("dry-run", "Print what would be copied: source, destination and digest")
}

fn apply() -> Command {
    let file =
        Parameter::operand("file", ValueKind::File(FileAccess::Read), "FILE", "The images and where they belong");
    let namespace = |name, access, summary| {
        let option = Parameter::option(name, ValueKind::Namespace(access), "REGISTRY[/PATH]", summary);
        repeated_required(option)
    };
    command(
        "apply",
        "Brings the images that a file lists to the registries that it lists",
        "Tags that stand for the right image are left alone, those that are missing are made. A tag that stands for another image is an \
         error: nothing is overwritten, nothing is deleted, and all is compared before anything is written. The file names registries, \
         but what may be used of them is said by --from and --to alone.\n\n\
         [[registries]]\n\
         name = \"registry.example/testing\"\n\
         source = true\n\n\
         [[registries]]\n\
         name = \"registry.example/stable\"\n\n\
         [[images]]\n\
         name = \"app\"\n\
         digests = { \"sha256:...\" = [\"1.0\", \"latest\"] }\n\n\
         steprun promote apply images.toml --from registry.example/testing --to registry.example/stable",
        vec![
            file,
            namespace("from", RegistryAccess::Pull, "Where the file may take images from: all repositories below"),
            namespace("to", RegistryAccess::Push, "Where the file may bring images to: all repositories below"),
            dry_run(),
            format("How --dry-run prints it"),
            foreign(),
            jobs(),
        ],
    )
}

fn pull() -> Command {
    let path = Parameter::operand(
        "path",
        ValueKind::File(FileAccess::Write),
        "PATH",
        "Where to write: an archive, `-` for standard output; with --format=oci a directory",
    );
    let format = Parameter::option(
        "format",
        ValueKind::Choice(&["tarball", "legacy", "oci", "oci-archive"]),
        "FORMAT",
        "An archive for `docker load`, of images for linux/amd64 by default, or as Docker before 25 wrote it; an OCI layout in a directory, or \
         in an archive",
    );
    command(
        "pull",
        "Writes images to a file or directory",
        "An OCI layout gets a whole index unless --platform narrows it. Manifests keep their bytes.\n\n\
         steprun promote pull alpine debian images.tar",
        vec![
            repeated_required(image("image", RegistryAccess::Pull, "IMAGE", "Image to read")),
            path,
            format.default("tarball"),
            Parameter::flag("annotate-ref", "Name the images in the index of a layout (--format=oci)"),
            jobs(),
            platform("Which image of an index to take"),
        ],
    )
}

fn push() -> Command {
    let path = Parameter::operand(
        "path",
        ValueKind::File(FileAccess::Read),
        "PATH",
        "Archive of `docker save` or of an OCI layout, or the directory of one; `-` for standard input",
    );
    let index = Parameter::flag("index", "Push all images of an OCI layout as one index");
    let refs = Parameter::option(
        "image-refs",
        ValueKind::File(FileAccess::Write),
        "FILE",
        "Also write the result's name to this file",
    );
    command(
        "push",
        "Pushes the image of an archive or layout",
        "Prints the result as registry/repository@digest. Layers are pushed as they are: `docker save` does not compress them.\n\n\
         steprun promote push app.tar registry.example/app:v1",
        vec![path, image("image", RegistryAccess::Push, "IMAGE", "Where to push it"), index, refs, foreign(), jobs()],
    )
}

fn layout_gc() -> Command {
    let layout = Parameter::operand("layout", ValueKind::OutputDirectory, "DIR", "OCI layout to clean");
    command(
        "layout-gc",
        "Removes the blobs of an OCI layout that no image of it leads to",
        "Says which, on standard error.",
        vec![layout],
    )
}

fn delete() -> Command {
    command(
        "delete",
        "Deletes an image from its registry",
        "Deletes what is named: a tag, or with a digest the manifest. Some registries delete a manifest with its tag; --tag-only makes \
         sure that it stays.",
        vec![
            image("image", RegistryAccess::Delete, "IMAGE", "Tag or digest to delete"),
            Parameter::flag("tag-only", "Delete the tag and never the manifest, which other tags may stand for"),
        ],
    )
}

fn retention() -> Command {
    let keep = Parameter::option("keep", ValueKind::Integer, "N", "Keep the tags of the N newest images");
    command(
        "retention",
        "Deletes the tags of a repository that a policy does not keep",
        "A tag goes only if nothing keeps it; manifests stay. The age of an image is that of its config; images that do not say it and \
         tags that stand for digests (`sha256-...`) are kept. Prints the tags that go, oldest first.\n\n\
         steprun promote retention registry.example/app --keep 10 --keep-tags 'v*' --confirm",
        vec![
            repository("repository", RegistryAccess::Delete, "REPO", "Repository to clean"),
            keep,
            text("keep-tags", "PATTERN", "Keep tags that fit: `*` is any text, `?` one character").repeated(),
            Parameter::option(
                "older-than",
                ValueKind::Time,
                "AGE|DATE",
                "Keep images that are not older: `30d`, or that were made on this date or later: `2026-01-31`",
            ),
            Parameter::flag("confirm", "Delete; without it the tags are only printed"),
            format("How to print the tags"),
            jobs(),
        ],
    )
}

fn tag() -> Command {
    let tag = Parameter::operand("tag", ValueKind::Text, "TAG", "New tag, without the repository's name")
        .arity(Arity::RepeatedRequired);
    command(
        "tag",
        "Tags an image in its repository",
        "No blob is transferred.\n\nsteprun promote tag registry.example/app:v1 v1.0 latest",
        vec![image("image", RegistryAccess::Push, "IMAGE", "Image to tag"), tag],
    )
}
