//! Tar archives, plain or compressed, as layers and as file systems.
//!
//! To be run with `-detect_leaks=0`: the end of a scope of threads doesn't wait for their thread-local values to be dropped, and
//! those are counted as leaks now and then.
#![no_main]

use std::sync::Arc;

use libfuzzer_sys::fuzz_target;
use steprun_snapshot::{Fetch, NoFetch, Snapshot, Store, import_layer};

fuzz_target!(|bytes: &[u8]| {
    // Where nothing is written to a disk.
    let directory = tempfile::tempdir_in("/dev/shm").expect("/dev/shm can be written");
    let store = Store::open(directory.path()).expect("a store in a new directory");
    if let Ok(layer) = import_layer(&store, bytes) {
        let fetch: Arc<dyn Fetch> = Arc::new(NoFetch);
        let _ = Snapshot::from_layers(&store, vec![(layer, fetch)]);
    }
});
