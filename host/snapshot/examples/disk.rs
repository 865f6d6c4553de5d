//! Measures a tree on disk: write, index, scan, remove. Usage: `disk DIR`, where the tree is a copy of DIR in a gzip layer.

use std::path::Path;
use std::time::{Duration, Instant};

use steprun_snapshot::disk::{self, Index, Limits, Owned, Owning, Scan, State};
use steprun_snapshot::{Error, NoFetch, Result, Snapshot, Store};

fn main() -> Result<()> {
    let path = std::env::args().nth(1).ok_or_else(|| Error::Invalid("usage: disk DIR".into()))?;
    let scratch = tempfile::tempdir().map_err(Error::io("create", "a temporary directory"))?;
    let store = Store::open(scratch.path().join("store"))?;
    let snapshot = measured("pack", || layer(&store, Path::new(&path)))?;
    let (root, mut table) = (scratch.path().join("root"), disk::Owners::new());
    std::fs::create_dir(&root).map_err(Error::io("create", &root))?;
    let owning = Owning::Real { table: &mut table, userns: false };
    measured("write", || disk::write(&Snapshot::scratch(), &snapshot, &root, owning, Limits::default()))?;
    let before = measured("index", || Index::of(&root, &[]))?;
    let state = State::Plain { root: &root, before: &before };
    let scan = Scan { base: &snapshot, state, owned: Owned::Real(&table), skip: &[], latest: None };
    let changes = measured("scan", || disk::changes(scan))?;
    println!("{:?}", measured("write the layer", || changes.write_tar(&store))?);
    measured("remove", || disk::remove(&root)).map_err(Error::io("remove", &root))
}

fn layer(store: &Store, path: &Path) -> Result<Snapshot> {
    let mut tar = std::process::Command::new("tar");
    tar.arg("-C").arg(path).args(["-cf-", "."]).stdout(std::process::Stdio::piped());
    let mut child = tar.spawn().map_err(Error::io("run", "tar"))?;
    let Some(archive) = child.stdout.take() else { return Err(Error::Invalid("tar has no output".into())) };
    let layer = steprun_snapshot::import_layer(store, archive)?;
    child.wait().map_err(Error::io("wait for", "tar"))?;
    Snapshot::from_layers(store, vec![(layer, std::sync::Arc::new(NoFetch))])
}

fn measured<T>(what: &str, work: impl FnOnce() -> T) -> T {
    let (begin, cpu) = (Instant::now(), cpu_time());
    let result = work();
    println!("{what}: {:.3} s wall, {:.3} s CPU", begin.elapsed().as_secs_f64(), (cpu_time() - cpu).as_secs_f64());
    result
}

/// User and system time of this process, from `/proc/self/stat`, in ticks of 10 ms.
fn cpu_time() -> Duration {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields = stat.rsplit(") ").next().unwrap_or_default().split(' ');
    Duration::from_millis(10 * fields.skip(11).take(2).filter_map(|ticks| ticks.parse::<u64>().ok()).sum::<u64>())
}
