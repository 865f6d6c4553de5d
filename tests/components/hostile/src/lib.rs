//! A step that does what it should not, one misdeed a command. Where it succeeds it exits with 0 and prints its loot: the tests
//! then fail. Where it is stopped, it hands the host's error on as it came.

use steprun_ports::{
    Command, Description, Failure, FailureKind, FileAccess, Host, Level, OutputFile, Parameter, RegistryAccess,
    Repository, Tree, ValueKind,
};

const MANIFEST_TYPE: &str = "application/vnd.oci.image.index.v1+json";
const MANIFEST: &[u8] = br#"{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[]}"#;

const CONTEXT: Parameter = Parameter::option("context", ValueKind::ContextDirectory, "DIR", "A granted directory");
const PULL: Parameter = Parameter::option("image", ValueKind::Image(RegistryAccess::Pull), "IMAGE", "An image to pull");
const PUSH: Parameter = Parameter::option("image", ValueKind::Image(RegistryAccess::Push), "IMAGE", "An image to push");
const FILE: Parameter = Parameter::option("file", ValueKind::File(FileAccess::Write), "FILE", "A file to write");
const WORD: Parameter = Parameter::operand("word", ValueKind::Text, "WORD", "What the misdeed is about");

/// Its command line.
pub fn describe() -> Description {
    let command = |name, summary, parameters: &[Parameter]| Command {
        name,
        aliases: &[],
        summary,
        details: "",
        parameters: parameters.to_vec(),
    };
    Description {
        name: "hostile",
        version: env!("CARGO_PKG_VERSION"),
        summary: "Does what it should not",
        commands: vec![
            command("read", "Read a path of the context", &[CONTEXT, WORD]),
            command("list", "List a path of the context", &[CONTEXT, WORD]),
            command("push", "Push to a repository that is asked for by name", &[PUSH, WORD]),
            command("push-pulled", "Push to what was granted for pulling", &[PULL]),
            command("delete-pushed", "Delete from what was granted for pushing", &[PUSH, WORD]),
            command("resolve", "Ask a registry for an image by name", &[PULL, WORD]),
            command("resolve-secret", "Carry a file's content out in the name of an image", &[CONTEXT, WORD]),
            command("tag", "Ask a granted repository for a tag of one's own making", &[PULL, WORD]),
            command("tags", "Ask a granted image's repository for its tags", &[PULL]),
            command("write", "Write a granted file", &[FILE, WORD]),
            command("undescribed", "Ask for a value that was not described", &[]),
            command("escape", "Give orders to the terminal and the CI runner", &[]),
            command("loop", "Loop for ever", &[]),
            command("recurse", "Recurse for ever", &[]),
            command("allocate", "Take 8 GiB of memory", &[]),
            command("handles", "Take handles without end", &[CONTEXT]),
            command("orders", "Give orders to the CI runner in results", &[]),
            command("panic", "Panic", &[]),
            command("nothing", "Do nothing: what a call costs by itself", &[]),
        ],
    }
}

/// Its misdeeds.
///
/// # Errors
/// Where it was stopped.
pub async fn run(host: &impl Host) -> Result<(), Failure> {
    let word = || host.texts("word").into_iter().next().unwrap_or_default();
    match host.command().as_str() {
        "read" => {
            let content = context(host)?.read(&word(), 1 << 20).await?;
            Ok(host.print(&content).await?)
        }
        "list" => {
            let entries = context(host)?.list(&word()).await?;
            let names: Vec<String> = entries.into_iter().map(|entry| entry.name).collect();
            Ok(host.print(names.join("\n").as_bytes()).await?)
        }
        "push" => {
            let other = host.resolve(&word()).await?.repository;
            loot(host, &other.put_manifest("stolen", MANIFEST_TYPE, MANIFEST).await?).await
        }
        "push-pulled" => {
            let pulled = image(host)?;
            loot(host, &pulled.put_manifest("stolen", MANIFEST_TYPE, MANIFEST).await?).await
        }
        "delete-pushed" => {
            image(host)?.delete_manifest(&word()).await?;
            loot(host, "deleted").await
        }
        "resolve" => {
            let resolved = host.resolve(&word()).await?;
            let tag = resolved.reference().to_owned();
            let found = resolved.repository.head(&tag).await?;
            loot(host, if found.is_some() { "found" } else { "asked" }).await
        }
        "resolve-secret" => {
            let secret = context(host)?.read("secret", 1 << 10).await?;
            let name = format!("{}:{}", word(), String::from_utf8_lossy(&secret).trim());
            let resolved = host.resolve(&name).await?;
            let tag = resolved.reference().to_owned();
            resolved.repository.head(&tag).await?;
            loot(host, "asked").await
        }
        "tag" => {
            image(host)?.head(&word()).await?;
            loot(host, "asked").await
        }
        "tags" => {
            let tags = image(host)?.tags().await?;
            loot(host, &tags.join(" ")).await
        }
        "write" => {
            let files = host.output_files("file");
            let file = files.first().ok_or_else(|| Failure::usage("no file was given"))?;
            Ok(file.write(word().as_bytes()).await?)
        }
        "undescribed" => loot(host, &host.texts("never-described").join(" ")).await,
        "escape" => {
            host.log(
                Level::Warning,
                "\u{1b}[31mred\u{1b}[0m\u{7}\r\n::set-output name=stolen::yes\n##vso[task.setvariable]yes",
            );
            Err(Failure::new(FailureKind::Failed, "\u{1b}]0;title\u{7}over\n::error::fake"))
        }
        "loop" => {
            let mut turns = 0_u64;
            loop {
                turns = std::hint::black_box(turns.wrapping_add(1));
            }
        }
        "recurse" => loot(host, &recurse(1).to_string()).await,
        "allocate" => {
            let mut taken = Vec::new();
            for _ in 0..64 {
                taken.push(std::hint::black_box(vec![1_u8; 128 << 20]));
            }
            loot(host, &format!("{} pieces of 128 MiB", taken.len())).await
        }
        "handles" => {
            let mut taken = Vec::new();
            for _ in 0..1_u32 << 22 {
                taken.extend(host.context_directories("context"));
            }
            loot(host, &format!("{} handles", taken.len())).await
        }
        "orders" => Ok(host.print(b"::set-output name=stolen::yes\n\x1b[31mred\n").await?),
        "nothing" => Ok(()),
        "panic" => panic!("on purpose"),
        other => Err(Failure::usage(format!("no such command: {other}"))),
    }
}

/// Needs a frame for each call: the result is used after it. Its end is out of reach.
fn recurse(depth: u64) -> u64 {
    if depth == u64::MAX {
        return depth;
    }
    let frame = std::hint::black_box([depth; 64]);
    frame[0].wrapping_add(recurse(std::hint::black_box(depth + 1)))
}

fn context<H: Host>(host: &H) -> Result<H::Directory, Failure> {
    let directories = host.context_directories("context");
    directories.into_iter().next().ok_or_else(|| Failure::usage("no context was given"))
}

fn image<H: Host>(host: &H) -> Result<H::Repository, Failure> {
    let images = host.images("image");
    images.into_iter().next().map(|image| image.repository).ok_or_else(|| Failure::usage("no image was given"))
}

async fn loot(host: &impl Host, text: &str) -> Result<(), Failure> {
    Ok(host.print(format!("loot: {text}\n").as_bytes()).await?)
}

steprun_guest::export_step!(describe, run);
