//! Measures a `COPY DIR /`: list, extend, pack. Usage: `pack DIR [none|gzip]`.

use std::time::{Duration, Instant};

use steprun_snapshot::{
    Change, ChangeEntry, Compression, Directory, Error, Kind, NoFetch, Result, Snapshot, Source, Store,
};

fn main() -> Result<()> {
    let mut arguments = std::env::args().skip(1);
    let path = arguments.next().ok_or_else(|| Error::Invalid("usage: pack DIR [none|gzip]".into()))?;
    let compression = if arguments.next().as_deref() == Some("none") { Compression::None } else { Compression::Gzip };
    let scratch = tempfile::tempdir().map_err(Error::io("create", "a temporary directory"))?;
    let store = Store::open(scratch.path())?;
    let context = Directory::open(path.as_ref(), path.as_str())?;

    let (mut entries, mut bytes) = (Vec::new(), 0);
    measured("list", || walk(&context, "", &mut entries, &mut bytes))?;
    println!("{} entries, {:.1} MB", entries.len(), bytes as f64 / 1e6);
    let paths: Vec<String> = entries.iter().map(|entry| entry.path.clone()).collect();
    let snapshot = measured("extend", || Snapshot::scratch().extend(&[Source::Directory(context)], entries))?;
    let newest = measured("50 more versions", || {
        (0..50).try_fold(snapshot.clone(), |last, number| last.extend(&[], vec![small(number)]))
    })?;
    measured("stat of all in the newest", || paths.iter().try_for_each(|path| newest.stat(path, false).map(drop)))?;
    let layer = measured("pack", || snapshot.pack(&store, compression))?;
    if let Some(layer) = layer {
        println!("{} {:.1} MB", layer.descriptor.digest, layer.descriptor.size as f64 / 1e6);
        let layers =
            || vec![(layer.clone(), std::sync::Arc::new(NoFetch) as std::sync::Arc<dyn steprun_snapshot::Fetch>)];
        measured("contents, cold", || Snapshot::from_layers(&store, layers()))?;
        measured("contents, cached", || Snapshot::from_layers(&store, layers()))?;
    }
    println!("peak memory {} MiB", peak_memory_kib() / 1024);
    Ok(())
}

fn small(number: u32) -> ChangeEntry {
    let change = Change::Inline(number.to_string().into_bytes());
    let modified = steprun_snapshot::Timestamp::default();
    ChangeEntry { path: format!("version-{number}"), change, mode: 0o644, uid: 0, gid: 0, modified }
}

fn walk(context: &Directory, directory: &str, entries: &mut Vec<ChangeEntry>, bytes: &mut u64) -> Result<()> {
    for found in context.list(directory)? {
        let path = format!("{directory}/{}", found.name);
        let change = match found.stat.kind {
            Kind::Directory => Change::Directory,
            Kind::Regular => Change::File { source: 0, path: path.clone() },
            Kind::Symlink => Change::Symlink(found.stat.target.unwrap_or_default()),
            _ => continue,
        };
        let below = change == Change::Directory;
        *bytes += found.stat.size;
        entries.push(ChangeEntry {
            path: path.clone(),
            change,
            mode: found.stat.mode,
            uid: 0,
            gid: 0,
            modified: found.stat.modified,
        });
        if below {
            walk(context, &path, entries, bytes)?;
        }
    }
    Ok(())
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

fn peak_memory_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap_or_default();
    line.trim().trim_end_matches(" kB").parse().unwrap_or_default()
}
