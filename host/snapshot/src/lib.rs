//! File systems as immutable values, and the store that they lie in.
//!
//! This is the native side of the contract's `context`, `snapshots`, `store` and `outputs`: synchronous, without a runtime. A
//! [`Directory`] is what a caller granted, a [`Snapshot`] is a tree whose content lies elsewhere (in a directory, in the layers of
//! an image, in an archive), and a [`Store`] keeps blobs. Data flows one way: sources -> [`Snapshot`] -> layer or archive.

mod ahead;
mod apply;
mod archive;
mod codec;
mod content;
mod diff;
mod directory;
pub mod disk;
mod error;
mod export;
mod gzip;
mod hash;
pub mod images;
mod layer;
pub mod maintain;
mod meta;
pub mod name;
pub mod output;
mod pack;
mod parallel;
mod reads;
mod recompress;
mod records;
mod snapshot;
mod store;
mod tar;
mod tree;

pub use archive::{Opened, import_layer, read_archive};
pub use directory::Directory;
pub use error::{Error, Result};
pub use hash::sha256;
pub use layer::{Fetch, NoFetch};
pub use meta::{Descriptor, Entry, Kind, Layer, Stat, Timestamp, Xattrs};
pub use pack::Compression;
pub use reads::{Difference, DifferenceKind, Looks, Reach, Reads};
pub use recompress::{Recompression, recompress};
pub use records::Record;
pub use snapshot::{Change, ChangeEntry, Link, Part, Snapshot, Source};
pub use store::{BlobWriter, PrivateDirectory, Store};
