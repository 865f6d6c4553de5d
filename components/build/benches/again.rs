//! What the component itself does of a rebuild in which nothing has changed: it lists the context, matches the ignore file and computes keys.
//!
//! Keys are nobody else's business, so they are measured with what is around them: all of a build on a host in memory, natively. The host's part,
//! digests of files of a few bytes, is in it.

use divan::Bencher;
use divan::counter::ItemsCount;

use steprun_ports::memory::{FileTree, MemoryHost, block_on};

fn main() {
    divan::main();
}

#[divan::bench(args = [100, 1_000, 10_000])]
fn copy_of_files(bencher: Bencher<'_, '_>, files: usize) {
    let mut context =
        FileTree::new().file("Dockerfile", "FROM scratch\nCOPY . /\n").file(".dockerignore", "**/*.log\n");
    for number in 0..files {
        context = context.file(&format!("d{}/f{number}", number / 10), number.to_string());
    }
    let host = MemoryHost::new().with_context(".", context);
    let host = host.with_arguments(&steprun_build::describe(), &["-d", "registry.test/app:1"]);
    let build = || block_on(steprun_build::run(&host)).expect("it can be built");
    build();
    bencher.counter(ItemsCount::new(files)).bench_local(build);
}
