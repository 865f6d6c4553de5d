use std::path::PathBuf;
use std::process::Command;

use serde_json::json;

use super::*;
use crate::output::{self, ArchiveFormat, Blob, Image};

struct Bytes(Descriptor, Vec<u8>);

impl Blob for Bytes {
    fn descriptor(&self) -> &Descriptor {
        &self.0
    }

    fn open(&self) -> Result<Box<dyn Read + '_>> {
        Ok(Box::new(self.1.as_slice()))
    }
}

fn bytes(content: &[u8]) -> Bytes {
    Bytes(Document::new("x", content.to_vec()).descriptor, content.to_vec())
}

fn object(Descriptor { media_type, digest, size }: &Descriptor) -> Value {
    json!({"mediaType": media_type, "digest": digest.to_string(), "size": size})
}

/// A place to work in, with a store.
struct Room {
    root: tempfile::TempDir,
    store: Store,
}

impl Room {
    fn new() -> Self {
        let root = tempfile::tempdir().unwrap();
        let store = Store::open(root.path().join("store")).unwrap();
        Self { root, store }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.root.path().join(name)
    }

    /// Packs files as an archive with the system's tar.
    fn tar(&self, name: &str, files: &[(&str, &[u8])]) -> PathBuf {
        let directory = self.path("files");
        let _ = fs::remove_dir_all(&directory);
        for (path, content) in files {
            let path = directory.join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, content).unwrap();
        }
        let archive = self.path(name);
        let status = Command::new("tar").arg("-cf").arg(&archive).arg("-C").arg(&directory).arg(".").status().unwrap();
        assert!(status.success());
        archive
    }
}

/// An image with a config and a layer.
fn image(name: &str, names: &[&str]) -> (Image, Vec<Bytes>) {
    let blobs = vec![bytes(json!({"name": name}).to_string().as_bytes()), bytes(format!("layer of {name}").as_bytes())];
    let manifest = json!({"schemaVersion": 2, "config": object(&blobs[0].0), "layers": [object(&blobs[1].0)]});
    let image = Image {
        media_type: "application/vnd.oci.image.manifest.v1+json".into(),
        manifest: manifest.to_string().into_bytes(),
        names: names.iter().map(|name| (*name).to_owned()).collect(),
    };
    (image, blobs)
}

fn references(blobs: &[Bytes]) -> Vec<&dyn Blob> {
    blobs.iter().map(|blob| blob as &dyn Blob).collect()
}

fn read(room: &Room, images: &Images, blob: &Bytes) -> Result<Vec<u8>> {
    images.store_blob(&room.store, &blob.0)?;
    room.store.read_blob(&blob.0.digest, 1 << 20)
}

#[test]
fn a_layout_is_read_as_it_was_written() {
    let room = Room::new();
    let (first, blobs) = image("a", &["r.example/app:1"]);
    output::write_layout(&room.path("layout"), &first, &references(&blobs)).unwrap();
    let open = || Images::open(&room.store, Form::Layout, &room.path("layout")).unwrap();
    let (images, digest) = (open(), sha256(&first.manifest));
    for reference in ["1", "r.example/app:1", "latest", digest.as_ref()] {
        let found = images.document(reference).unwrap().unwrap();
        assert_eq!((&found.descriptor.digest, &found.content), (&digest, &first.manifest), "{reference}");
    }
    assert_eq!(images.document("2").unwrap(), None);
    assert_eq!(images.document("*").unwrap().unwrap().content, fs::read(room.path("layout/index.json")).unwrap());
    assert_eq!(read(&room, &images, &blobs[1]).unwrap(), blobs[1].1);
    assert_eq!(
        (images.blob(&blobs[0].0.digest).unwrap(), images.blob(&sha256(b"x")).unwrap()),
        (Some(blobs[0].0.size), None)
    );

    // Another one by a bare tag: then `latest` is none of them in particular.
    let (second, blobs) = image("b", &["2"]);
    blobs.iter().for_each(|blob| output::add_blob(&room.path("layout"), blob).unwrap());
    output::add_image(&room.path("layout"), &second).unwrap();
    let images = open();
    assert_eq!(images.names(), ["1", "2"]);
    assert_eq!(images.document("2").unwrap().unwrap().content, second.manifest);
    let message = images.document("latest").unwrap_err().to_string();
    assert!(message.ends_with("holds 2 images, and one is needed; their names are 1, 2"), "{message}");
    output::remove_image(&room.path("layout"), "1").unwrap();
    assert_eq!(open().names(), ["2"]);
    assert!(matches!(output::remove_image(&room.path("layout"), "1"), Err(Error::NotFound(_))));
    let garbage = output::collect_garbage(&room.path("layout")).unwrap();
    assert_eq!(garbage.len(), 3, "{garbage:?}");
    assert_eq!(read(&room, &open(), &blobs[1]).unwrap(), blobs[1].1);
    assert_eq!(output::collect_garbage(&room.path("layout")).unwrap(), [""; 0]);
}

#[test]
fn an_image_enters_a_layout_only_with_its_blobs() {
    let room = Room::new();
    let (whole, blobs) = image("a", &["1"]);
    output::add_blob(&room.path("layout"), &blobs[0]).unwrap();
    assert!(matches!(output::add_image(&room.path("layout"), &whole), Err(Error::Invalid(_))));
    assert!(matches!(Images::open(&room.store, Form::Layout, &room.path("layout")), Err(Error::Invalid(_))));
}

#[test]
fn archives_are_read_where_they_lie() {
    let room = Room::new();
    let (a, mut blobs) = image("a", &["r.example/app:1"]);
    let (b, others) = image("b", &["r.example/app:2"]);
    blobs.extend(others);
    for (format, form) in [(ArchiveFormat::Oci, Form::OciArchive), (ArchiveFormat::Docker, Form::DockerArchive)] {
        let path = room.path("images.tar");
        output::write_archive(&path, format, &[a.clone(), b.clone()], &references(&blobs)).unwrap();
        let images = Images::open(&room.store, form, &path).unwrap();
        assert_eq!(images.document("2").unwrap().unwrap().content, b.manifest);
        assert_eq!(read(&room, &images, &blobs[3]).unwrap(), blobs[3].1);
        let stream = fs::File::open(&path).unwrap();
        assert_eq!(Images::of_stream(&room.store, stream, "-").unwrap().names(), ["1", "2"]);
        assert_eq!(Images::detect(&room.store, &path).unwrap().names(), ["1", "2"]);
    }
}

#[test]
fn what_lies_is_not_believed() {
    let room = Room::new();
    let (image, blobs) = image("a", &["1"]);
    output::write_layout(&room.path("layout"), &image, &references(&blobs)).unwrap();
    let blob = room.path("layout").join(place(&blobs[1].0.digest));
    fs::write(blob, "other bytes!").unwrap();
    let images = Images::detect(&room.store, &room.path("layout")).unwrap();
    assert!(matches!(read(&room, &images, &blobs[1]), Err(Error::Corrupt(_))));
    fs::write(room.path("layout").join(place(&sha256(&image.manifest))), "{}").unwrap();
    assert!(matches!(images.document("1"), Err(Error::Corrupt(_))));
    // A link that leads out of the layout is none of its blobs.
    let secret = room.path("secret");
    fs::write(&secret, "secret").unwrap();
    let link = room.path("layout").join(place(&sha256(b"secret")));
    std::os::unix::fs::symlink(&secret, link).unwrap();
    assert!(matches!(images.blob(&sha256(b"secret")), Err(Error::Denied { .. })));
}

#[test]
fn docker_saves_get_a_manifest() {
    let room = Room::new();
    let plain = b"a layer".to_vec();
    let gzip = {
        let digest = room.store.put_bytes(b"another").unwrap();
        let made = crate::recompress(&room.store, &digest, crate::Recompression::Gzip).unwrap();
        room.store.read_blob(&made.digest, 1 << 20).unwrap()
    };
    let diff_ids = [sha256(&plain).to_string(), sha256(b"another").to_string()];
    let config = json!({"rootfs": {"type": "layers", "diff_ids": diff_ids}}).to_string();
    let saved = json!([{"Config": "c.json", "RepoTags": ["app:1"], "Layers": ["1/layer.tar", "2.tar.gz"]}]).to_string();
    let files: [(&str, &[u8]); 4] = [
        ("manifest.json", saved.as_bytes()),
        ("c.json", config.as_bytes()),
        ("1/layer.tar", &plain),
        ("2.tar.gz", &gzip),
    ];
    let archive = room.tar("saved.tar", &files);
    let images = Images::detect(&room.store, &archive).unwrap();
    let manifest = images.document("app:1").unwrap().unwrap();
    let parsed: Value = serde_json::from_slice(&manifest.content).unwrap();
    let layer = |number: usize, key: &str| parsed["layers"][number][key].as_str().unwrap().to_owned();
    assert_eq!(layer(0, "mediaType"), "application/vnd.docker.image.rootfs.diff.tar");
    assert_eq!((layer(0, "digest"), layer(1, "digest")), (diff_ids[0].clone(), sha256(&gzip).to_string()));
    assert!(layer(1, "mediaType").ends_with(".tar.gzip"));
    assert_eq!(read(&room, &images, &bytes(&gzip)).unwrap(), gzip);
    assert_eq!(read(&room, &images, &bytes(config.as_bytes())).unwrap(), config.as_bytes());
    assert_eq!(images.document("latest").unwrap().unwrap(), manifest);
    assert_eq!(images.document("*").unwrap(), None);

    let archive = room.tar("lies.tar", &[files[0], files[1], ("1/layer.tar", b"other"), files[3]]);
    assert!(matches!(Images::detect(&room.store, &archive), Err(Error::Corrupt(_))));
    let archive = room.tar("none.tar", &[("x", b"y")]);
    assert!(matches!(Images::detect(&room.store, &archive), Err(Error::Invalid(_))));
}

#[test]
fn blobs_begin_a_directory_side_by_side() {
    for _ in 0..20 {
        let room = Room::new();
        let (_, blobs) = image("a", &[]);
        let directory = room.path("dir");
        std::thread::scope(|scope| {
            for blob in &blobs {
                scope.spawn(|| add_blob_to_directory(&directory, blob).unwrap());
            }
        });
    }
}

#[test]
fn skopeos_directories_hold_one_image() {
    let room = Room::new();
    let (first, blobs) = image("a", &[]);
    let directory = room.path("dir");
    blobs.iter().for_each(|blob| add_blob_to_directory(&directory, blob).unwrap());
    add_manifest_to_directory(&directory, &sha256(b"child"), b"child", false).unwrap();
    add_manifest_to_directory(&directory, &sha256(&first.manifest), &first.manifest, true).unwrap();
    let images = Images::open(&room.store, Form::Directory, &directory).unwrap();
    assert_eq!(images.document("latest").unwrap().unwrap().content, first.manifest);
    assert_eq!(read(&room, &images, &blobs[1]).unwrap(), blobs[1].1);
    assert_eq!(images.document(sha256(b"child").as_ref()).unwrap().unwrap().content, b"child");
    fs::create_dir(room.path("home")).unwrap();
    fs::write(room.path("home/letter"), "dear").unwrap();
    assert!(matches!(add_blob_to_directory(&room.path("home"), &blobs[0]), Err(Error::Invalid(_))));
}

#[test]
fn referrers_are_entries_with_a_subject() {
    let room = Room::new();
    let (first, blobs) = image("a", &["1"]);
    output::write_layout(&room.path("layout"), &first, &references(&blobs)).unwrap();
    let subject = Document::new("application/vnd.oci.image.manifest.v1+json", first.manifest.clone());
    let mut signature: Value = serde_json::from_slice(&first.manifest).unwrap();
    signature["subject"] = object(&subject.descriptor);
    let signature = Image { names: Vec::new(), manifest: signature.to_string().into_bytes(), ..first };
    output::add_image(&room.path("layout"), &signature).unwrap();
    let images = Images::detect(&room.store, &room.path("layout")).unwrap();
    let found = images.referrers(&subject.descriptor.digest).unwrap();
    assert_eq!(found.iter().map(|found| &found.content).collect::<Vec<_>>(), [&signature.manifest]);
    assert_eq!(images.referrers(&sha256(b"x")).unwrap(), []);
}
