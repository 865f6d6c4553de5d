//! Commands that make an image of another.

use steprun_ports::{Arity, Command, FileAccess, Parameter, RegistryAccess, ValueKind};

use super::{command, foreign, image, jobs, output, platform, platforms, repeated_required, tag, text};

pub(super) fn commands() -> Vec<Command> {
    vec![
        append(),
        edit_config(),
        edit_fs(),
        edit_manifest(),
        flatten(),
        index_append(),
        index_filter(),
        mutate(),
        rebase(),
    ]
}

/// The image that is changed, and overwritten unless the result gets another name.
const fn changed(summary: &'static str) -> Parameter {
    image("image", RegistryAccess::Push, "IMAGE", summary)
}

const fn base(name: &'static str, summary: &'static str) -> Parameter {
    Parameter::option(name, ValueKind::Place(RegistryAccess::Pull), "IMAGE", summary)
}

fn append() -> Command {
    let layer = Parameter::option(
        "new_layer",
        ValueKind::File(FileAccess::Read),
        "FILE",
        "Tar archive to add as a layer, `-` for standard input",
    );
    let new_tag = Parameter::option(
        "new_tag",
        ValueKind::Place(RegistryAccess::Push),
        "IMAGE",
        "Name of the result; required unless --output is given",
    );
    command(
        "append",
        "Adds layers to an image",
        "Pushes the base image with the layers on top under a new tag and prints the result as registry/repository@digest. \
         Of an index, every image gets the layers unless --platform narrows it to one.\n\n\
         tar cf - site | steprun promote append -b nginx -f - -t registry.example/site:v1",
        vec![
            base("base", "Image to extend; an empty one if absent").short('b'),
            repeated_required(layer.short('f').aliases(&["new-layer"])),
            new_tag.short('t').aliases(&["new-tag"]),
            output(),
            Parameter::flag("set-base-image-annotations", "Name the base image in the annotations of the result"),
            Parameter::flag("oci-empty-base", "Give an image without base OCI media types instead of Docker's"),
            foreign(),
            jobs(),
            platform("Extend one image of an index; what the result runs on if there is no base"),
        ],
    )
}

fn mutate() -> Command {
    let layer = Parameter::option(
        "append",
        ValueKind::File(FileAccess::Read),
        "FILE",
        "Tar archive to add as a layer, `-` for standard input",
    );
    let repo = Parameter::option(
        "repo",
        ValueKind::Repository(RegistryAccess::Push),
        "REPO",
        "Push the result to this repository by its digest",
    );
    let env = Parameter::option("env", ValueKind::Pair, "NAME=VALUE", "Set an environment variable");
    command(
        "mutate",
        "Changes the metadata of an image",
        "Overwrites the image, or pushes the result under another name, and prints it as registry/repository@digest. \
         Of an index, every image is changed unless --platform narrows it to one.\n\n\
         steprun promote mutate registry.example/app:v1 --label team=blue -t registry.example/app:v1-blue",
        vec![
            changed("Image to change"),
            text("annotation", "NAME=VALUE", "Set an annotation of the manifest, and of the index")
                .short('a')
                .repeated(),
            layer.repeated(),
            text("cmd", "WORD,...", "Set the command").repeated(),
            text("entrypoint", "WORD,...", "Set the entrypoint and clear the command").repeated(),
            env.short('e').repeated(),
            text("exposed-ports", "PORT,...", "Set the exposed ports: `80/tcp,443/tcp`").repeated(),
            text("label", "NAME=VALUE", "Set a label").short('l').repeated(),
            output(),
            repo,
            text("set-platform", "OS/ARCH[/VARIANT][:OSVERSION]", "Say that the image is for another platform"),
            tag(),
            text("user", "USER[:GROUP]", "Set the user").short('u'),
            text("workdir", "DIR", "Set the working directory").short('w'),
            foreign(),
            jobs(),
            platform("Change one image of an index, and leave the others out"),
        ],
    )
}

/// What replaces a part of an image.
fn content(summary: &'static str) -> Parameter {
    Parameter::operand("content", ValueKind::File(FileAccess::Read), "FILE", summary)
        .arity(Arity::Optional)
        .default("-")
}

fn edit_config() -> Command {
    command(
        "edit-config",
        "Replaces the config of an image",
        "Overwrites the image, or pushes the result under another name, and prints that name. The config is stored byte for byte as it is given, \
         if it fits the layers, which stay as they are.\n\n\
         steprun promote config registry.example/app:v1 | jq '.config.User=\"1000\"' | steprun promote edit config registry.example/app:v1",
        vec![
            changed("Image to change"),
            content("The new config, `-` for standard input"),
            tag(),
            foreign(),
            jobs(),
            platform("Which image of an index to take, linux/amd64 by default"),
        ],
    )
}

fn edit_manifest() -> Command {
    command(
        "edit-manifest",
        "Replaces the manifest or index of an image",
        "Overwrites the image, or pushes the result under another name, and prints that name. What the new manifest refers to has to be in \
         the repository that the image is in.\n\n\
         steprun promote manifest registry.example/app:v1 | jq '.annotations.team=\"blue\"' | steprun promote edit manifest registry.example/app:v1",
        vec![
            changed("Image to change"),
            content("The new manifest, `-` for standard input"),
            text(
                "media-type",
                "TYPE",
                "Say that it is of this type; what it says of itself, or else what it was, if absent",
            )
            .short('m'),
            tag(),
            foreign(),
            jobs(),
        ],
    )
}

fn edit_fs() -> Command {
    let filename = Parameter::option("filename", ValueKind::Text, "PATH", "File to replace or add").short('f');
    command(
        "edit-fs",
        "Replaces or adds a file of an image",
        "Adds a layer with the file. It keeps mode and owner; a new file belongs to root and is for all to read and to execute. Symlinks are \
         followed inside of the image. Of an index, every image gets the file unless --platform narrows it to one. Overwrites the image, \
         or pushes the result under another name, and prints that name.\n\n\
         echo 'ENABLED=0' | steprun promote edit fs registry.example/app:v1 -f /etc/default/motd-news",
        vec![
            changed("Image to change"),
            content("The file's new content, `-` for standard input"),
            filename.arity(Arity::Required),
            tag(),
            foreign(),
            jobs(),
            platform("Change one image of an index, and leave the others out"),
        ],
    )
}

fn flatten() -> Command {
    command(
        "flatten",
        "Makes one layer of all layers of an image",
        "Overwrites the image, or pushes the result under another name, and prints it as registry/repository@digest. \
         Files that a later layer deletes are gone; the config stays. Of an index, every image is flattened.",
        vec![
            changed("Image to flatten"),
            tag(),
            foreign(),
            jobs(),
            platform("Flatten one image of an index, and leave the others out"),
        ],
    )
}

fn rebase() -> Command {
    let original = base("original", "Old name of IMAGE");
    let original = Parameter { value: ValueKind::Place(RegistryAccess::Push), ..original };
    command(
        "rebase",
        "Puts an image on a newer base",
        "Replaces the layers of the old base by those of the new one, without a build. The bases are those of the image's annotations \
         unless they are named. Overwrites the image, or pushes the result under another name, and prints it as \
         registry/repository@digest. Of an index, every image is rebased, each on the base for its platform.\n\n\
         steprun promote rebase registry.example/app:v1 --old_base debian:12.1 --new_base debian:12.2",
        vec![
            changed("Image to rebase").arity(Arity::Optional),
            base("old_base", "Image that it was built on").aliases(&["old-base"]),
            base("new_base", "Image that it is to stand on").aliases(&["new-base"]),
            Parameter { aliases: &["rebased"], ..tag() },
            original,
            foreign(),
            jobs(),
            platform("Rebase one image of an index, and leave the others out"),
        ],
    )
}

fn index_append() -> Command {
    let manifest = base("manifest", "Image to add; of an index, all of its images").short('m');
    let flatten =
        Parameter::flag("flatten", "Take the images of an index that is added; with =false it is added itself");
    command(
        "index-append",
        "Adds images to an index",
        "Pushes the index and prints it as registry/repository@digest. What the new place lacks is copied.\n\n\
         steprun promote index-append -m registry.example/app:amd64 -m registry.example/app:arm64 -t registry.example/app:v1",
        vec![
            image("base", RegistryAccess::Push, "BASE", "Index to extend; an empty one if absent")
                .arity(Arity::Optional),
            repeated_required(manifest),
            Parameter { summary: "Name of the result; that of BASE if absent", ..tag() },
            Parameter::flag("docker-empty-base", "Make a Docker manifest list where there is no BASE"),
            flatten.default("true"),
            foreign(),
            jobs(),
        ],
    )
}

fn index_filter() -> Command {
    command(
        "index-filter",
        "Takes images of other platforms out of an index",
        "Pushes the index and prints it as registry/repository@digest. The attestations of the images that stay do stay.\n\n\
         steprun promote index-filter alpine --platform linux/amd64,linux/arm64 -t registry.example/alpine",
        vec![
            image("base", RegistryAccess::Push, "BASE", "Index to filter"),
            platforms("Images to keep: one or several platforms, comma-separated"),
            tag(),
            foreign(),
            jobs(),
        ],
    )
}
