use std::fs;
use std::path::PathBuf;

use serde_json::{Value, json};

use super::*;

struct Bytes {
    descriptor: Descriptor,
    content: Vec<u8>,
}

impl Blob for Bytes {
    fn descriptor(&self) -> &Descriptor {
        &self.descriptor
    }

    fn open(&self) -> Result<Box<dyn Read + '_>> {
        Ok(Box::new(self.content.as_slice()))
    }
}

fn bytes(content: &[u8]) -> Bytes {
    let descriptor = Descriptor { media_type: "x".into(), digest: sha256(content), size: content.len() as u64 };
    Bytes { descriptor, content: content.to_vec() }
}

struct Fixture {
    root: tempfile::TempDir,
    image: Image,
    blobs: Vec<Bytes>,
}

impl Fixture {
    fn new(names: &[&str]) -> Self {
        let blobs = vec![bytes(b"{\"os\":\"linux\"}"), bytes(b"first layer"), bytes(b"second layer")];
        let described: Vec<_> = blobs
            .iter()
            .map(|blob| json!({"mediaType": "x", "digest": blob.descriptor.digest, "size": blob.descriptor.size}))
            .collect();
        let manifest =
            json!({"schemaVersion": 2, "config": described[0], "layers": [described[1], described[2], described[1]]});
        let image = Image {
            media_type: "application/vnd.oci.image.manifest.v1+json".into(),
            manifest: manifest.to_string().into_bytes(),
            names: names.iter().map(|name| (*name).to_owned()).collect(),
        };
        Self { root: tempfile::tempdir().unwrap(), image, blobs }
    }

    fn blobs(&self) -> Vec<&dyn Blob> {
        self.blobs.iter().map(|blob| blob as &dyn Blob).collect()
    }

    fn layout(&self) -> PathBuf {
        self.root.path().join("layout")
    }

    fn write_layout(&self) -> Result<Vec<Value>> {
        write_layout(&self.layout(), &self.image, &self.blobs())?;
        let index: Value = serde_json::from_slice(&fs::read(self.layout().join("index.json")).unwrap()).unwrap();
        Ok(index["manifests"].as_array().unwrap().clone())
    }

    fn unpacked(&self, format: ArchiveFormat) -> PathBuf {
        let file = self.root.path().join("image.tar");
        write_archive(&file, format, std::slice::from_ref(&self.image), &self.blobs()).unwrap();
        let target = self.root.path().join("unpacked");
        fs::create_dir_all(&target).unwrap();
        let status = std::process::Command::new("tar").arg("-xf").arg(&file).arg("-C").arg(&target).status().unwrap();
        assert!(status.success());
        target
    }
}

fn annotation<'v>(entry: &'v Value, key: &str) -> &'v str {
    entry["annotations"][key].as_str().unwrap_or_default()
}

fn check_blobs(fixture: &Fixture, root: &Path) {
    for blob in &fixture.blobs {
        assert_eq!(fs::read(root.join(place(&blob.descriptor.digest))).unwrap(), blob.content);
    }
    assert_eq!(fs::read(root.join(place(&sha256(&fixture.image.manifest)))).unwrap(), fixture.image.manifest);
    assert_eq!(fs::read(root.join("oci-layout")).unwrap(), index::LAYOUT);
}

#[test]
fn a_layout_that_can_not_be_finished_leaves_nothing() {
    let mut broken = Fixture::new(&["reg/app:1"]);
    broken.blobs[2].content = b"other bytes!".to_vec();
    assert!(matches!(broken.write_layout(), Err(Error::Corrupt(_))));
    assert!(!broken.layout().exists());

    // One that was there stays as it was.
    let mut known = Fixture::new(&["reg/app:1"]);
    known.write_layout().unwrap();
    fs::remove_file(known.layout().join("blobs/sha256").join(known.blobs[2].descriptor.digest.digest())).unwrap();
    known.blobs[2].content = b"other bytes!".to_vec();
    assert!(known.write_layout().is_err());
    assert_eq!(fs::read_dir(known.layout().join("blobs/sha256")).unwrap().count(), 3);
    assert!(known.layout().join("index.json").exists());
}

#[test]
fn a_layout_has_all_parts_and_both_names() {
    let fixture = Fixture::new(&["localhost:5000/team/app:1.2"]);
    let entries = fixture.write_layout().unwrap();
    check_blobs(&fixture, &fixture.layout());
    assert_eq!(entries.len(), 1);
    assert_eq!(annotation(&entries[0], "org.opencontainers.image.ref.name"), "1.2");
    assert_eq!(annotation(&entries[0], "io.containerd.image.name"), "localhost:5000/team/app:1.2");
    assert_eq!(entries[0]["digest"], sha256(&fixture.image.manifest).to_string());
    let leftovers = fs::read_dir(fixture.layout()).unwrap().count();
    assert_eq!(leftovers, 3);
}

#[test]
fn an_image_of_the_same_name_is_replaced_and_others_stay() {
    let mut fixture = Fixture::new(&["r/app:1", "r/app:2"]);
    fixture.write_layout().unwrap();
    let index = fixture.layout().join("index.json");
    let mut document: Value = serde_json::from_slice(&fs::read(&index).unwrap()).unwrap();
    document["manifests"].as_array_mut().unwrap().push(json!({
        "digest": "sha256:00", "annotations": {"org.opencontainers.image.ref.name": "3", "own": "kept"}
    }));
    document["annotations"] = json!({"of": "the caller"});
    fs::write(&index, document.to_string()).unwrap();

    fixture.image.names = vec!["r/app:2".into()];
    fixture.image.manifest.push(b' ');
    let entries = fixture.write_layout().unwrap();
    let names: Vec<_> = entries.iter().map(|entry| annotation(entry, "org.opencontainers.image.ref.name")).collect();
    assert_eq!(names, ["1", "3", "2"]);
    assert_eq!(entries[2]["digest"], sha256(&fixture.image.manifest).to_string());
    assert_ne!(entries[0]["digest"], entries[2]["digest"]);
    assert_eq!(annotation(&entries[1], "own"), "kept");
    assert!(String::from_utf8(fs::read(&index).unwrap()).unwrap().contains("the caller"));

    fixture.image.names = vec!["other/app:3".into()];
    let entries = fixture.write_layout().unwrap();
    assert_eq!(entries.iter().filter(|entry| annotation(entry, "org.opencontainers.image.ref.name") == "3").count(), 1);
}

#[test]
fn an_image_without_name_has_one_entry() {
    let fixture = Fixture::new(&[]);
    for _ in 0..2 {
        let entries = fixture.write_layout().unwrap();
        assert!(entries.len() == 1 && entries[0].get("annotations").is_none(), "{entries:?}");
    }
}

#[test]
fn writers_take_turns() {
    let fixture = Fixture::new(&[]);
    std::thread::scope(|scope| {
        for number in 0..8 {
            let image = Image { names: vec![format!("r/app:{number}")], ..fixture.image.clone() };
            let fixture = &fixture;
            scope.spawn(move || write_layout(&fixture.layout(), &image, &fixture.blobs()).unwrap());
        }
    });
    let index: Value = serde_json::from_slice(&fs::read(fixture.layout().join("index.json")).unwrap()).unwrap();
    assert_eq!(index["manifests"].as_array().unwrap().len(), 8);
}

#[test]
fn a_directory_of_something_else_is_refused() {
    let fixture = Fixture::new(&["r/app:1"]);
    fs::create_dir(fixture.layout()).unwrap();
    fs::write(fixture.layout().join("index.json"), "[]").unwrap();
    assert!(matches!(fixture.write_layout(), Err(Error::Invalid(_))));
    assert_eq!(fs::read(fixture.layout().join("index.json")).unwrap(), b"[]");
}

#[test]
fn archives_are_read_by_their_readers() {
    let fixture = Fixture::new(&["localhost:5000/team/app:1.2", "team/app"]);
    let root = fixture.unpacked(ArchiveFormat::Oci);
    check_blobs(&fixture, &root);
    assert!(!root.join("manifest.json").exists());
    let root = fixture.unpacked(ArchiveFormat::Docker);
    check_blobs(&fixture, &root);
    let docker: Value = serde_json::from_slice(&fs::read(root.join("manifest.json")).unwrap()).unwrap();
    assert_eq!(docker[0]["RepoTags"], json!(["localhost:5000/team/app:1.2", "team/app:latest"]));
    let layers: Vec<_> = docker[0]["Layers"]
        .as_array()
        .unwrap()
        .iter()
        .map(|path| fs::read(root.join(path.as_str().unwrap())).unwrap())
        .collect();
    assert_eq!(layers, [b"first layer".to_vec(), b"second layer".to_vec(), b"first layer".to_vec()]);
    assert_eq!(fs::read(root.join(docker[0]["Config"].as_str().unwrap())).unwrap(), fixture.blobs[0].content);
}

/// An image whose config says all that a layer's config can hold, with a compressed layer between plain ones.
fn told() -> Fixture {
    let config = json!({
        "architecture": "amd64", "os": "linux", "variant": "v2", "own": 1,
        "created": "2024-05-06T07:08:09.500Z", "author": "Top", "container": "abc", "docker_version": "27",
        "config": {
            "User": "5", "Cmd": ["sh", "-c", "<a>&"], "Env": [], "Labels": {"z": "1", "a": "2"}, "Volumes": {"/v": {}},
            "Healthcheck": {"Test": ["CMD", "x"], "Retries": 4, "StartInterval": 5}, "Tty": true, "OpenStdin": false, "Memory": 7,
        },
        "history": [
            {"created": "2024-01-02T03:04:05.123456789Z", "created_by": "ADD file", "author": "Jo <jo@x>"},
            {"created": "2024-01-02T03:04:06Z", "created_by": "ENV a=b", "empty_layer": true},
            {"created": "2024-01-02T03:04:07.0+02:00", "created_by": "RUN a && b \u{2028}é\u{7}", "comment": "a & b"},
            {},
        ],
    });
    let gzip = {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
        encoder.write_all(b"second layer").unwrap();
        encoder.finish().unwrap()
    };
    let mut fixture = Fixture::new(&["localhost:5000/app:1", "localhost:5000/app:2"]);
    fixture.blobs = vec![bytes(config.to_string().as_bytes()), bytes(b"first layer"), bytes(&gzip)];
    let described: Vec<_> = fixture.blobs.iter().map(|blob| json!({"digest": blob.descriptor.digest})).collect();
    let layers = [&described[1], &described[2], &described[1]];
    fixture.image.manifest = json!({"config": described[0], "layers": layers}).to_string().into_bytes();
    fixture
}

/// What crane's `pull --format=legacy` writes of such an image.
#[test]
fn legacy_archives_have_a_directory_for_each_layer() {
    let fixture = told();
    let root = fixture.unpacked(ArchiveFormat::Legacy);
    let read = |path: &str| fs::read_to_string(root.join(path)).unwrap();
    let config = &fixture.blobs[0];
    let hex = |index: usize| fixture.blobs[index].descriptor.digest.digest().to_owned();
    let first = sha256(format!("{} ", hex(1)).as_bytes()).digest().to_owned();
    let second = sha256(format!("{} {first}", hex(2)).as_bytes()).digest().to_owned();
    let raw = std::str::from_utf8(&config.content).unwrap();
    let top = sha256(format!("{} {second} {raw}", hex(1)).as_bytes()).digest().to_owned();
    assert_eq!(read(&format!("{}.json", hex(0))), raw);
    let saved = format!(
        "[{{\"Config\":\"{}.json\",\"RepoTags\":[\"localhost:5000/app:1\",\"localhost:5000/app:2\"],\
         \"Layers\":[\"{first}/layer.tar\",\"{second}/layer.tar\",\"{top}/layer.tar\"]}}]",
        hex(0)
    );
    assert_eq!(read("manifest.json"), saved);
    assert_eq!(read("repositories"), format!("{{\"localhost:5000/app\":{{\"1\":\"{top}\",\"2\":\"{top}\"}}}}"));
    for (id, content) in [(&first, "first layer"), (&second, "second layer"), (&top, "first layer")] {
        assert_eq!(read(&format!("{id}/layer.tar")), content);
        assert_eq!(read(&format!("{id}/VERSION")), "1.0");
    }
    let rootfs = r#""rootfs":{"type":"","diff_ids":null}"#;
    for (id, expected) in [
        (
            &first,
            format!(
                r#"{{"architecture":"","author":"Jo \u003cjo@x\u003e","created":"2024-01-02T03:04:05.123456789Z","os":"",{rootfs},"config":{{}},"container_config":{{"Cmd":["ADD file"]}},"id":"{first}"}}"#
            ),
        ),
        (
            &second,
            format!(
                r#"{{"architecture":"","created":"2024-01-02T03:04:07+02:00","os":"",{rootfs},"config":{{}},"container_config":{{"Cmd":["RUN a \u0026\u0026 b \u2028é\u0007"]}},"id":"{second}","parent":"{first}","comment":"a \u0026 b"}}"#
            ),
        ),
        (
            &top,
            format!(
                r#"{{"architecture":"amd64","container":"abc","created":"2024-05-06T07:08:09.5Z","docker_version":"27","os":"linux",{rootfs},"config":{{"Cmd":["sh","-c","\u003ca\u003e\u0026"],"Healthcheck":{{"Test":["CMD","x"],"Retries":4}},"Labels":{{"a":"2","z":"1"}},"Tty":true,"User":"5","Volumes":{{"/v":{{}}}}}},"container_config":{{"Cmd":[""]}},"id":"{top}","parent":"{second}"}}"#
            ),
        ),
    ] {
        assert_eq!(read(&format!("{id}/json")), expected);
    }
}

#[test]
fn legacy_archives_are_written_of_odd_images() {
    // The history is of other layers, the config of no image, and there is no time.
    let fixture = Fixture::new(&["app"]);
    let root = fixture.unpacked(ArchiveFormat::Legacy);
    let repositories: Value = serde_json::from_slice(&fs::read(root.join("repositories")).unwrap()).unwrap();
    let top = repositories["app"]["latest"].as_str().unwrap();
    let layer = fs::read_to_string(root.join(top).join("json")).unwrap();
    assert!(layer.contains(r#""created":"0001-01-01T00:00:00Z","os":"linux""#), "{layer}");
    // The same image twice: an archive with two files of one name is read in as many ways as there are readers.
    let mut archive = Vec::new();
    let images = [fixture.image.clone(), fixture.image.clone()];
    stream_archive(&mut archive, ArchiveFormat::Legacy, &images, &fixture.blobs()).unwrap();
    let mut reader = ::tar::Archive::new(archive.as_slice());
    let mut names: Vec<_> =
        reader.entries().unwrap().map(|entry| entry.unwrap().path().unwrap().into_owned()).collect();
    assert_eq!(names.len(), 1 + 3 * 3 + 2, "{names:?}");
    names.sort();
    names.dedup();
    assert_eq!(names.len(), 1 + 3 * 3 + 2);

    let mut empty = Fixture::new(&["app:1"]);
    empty.blobs.truncate(1);
    let config = json!({"digest": empty.blobs[0].descriptor.digest});
    empty.image.manifest = json!({"config": config, "layers": []}).to_string().into_bytes();
    let root = empty.unpacked(ArchiveFormat::Legacy);
    assert_eq!(fs::read(root.join("repositories")).unwrap(), b"{}");
}

#[test]
fn a_stream_is_the_file() {
    let fixture = Fixture::new(&["a:1"]);
    let mut streams = [Vec::new(), Vec::new()];
    for stream in &mut streams {
        stream_archive(stream, ArchiveFormat::Docker, std::slice::from_ref(&fixture.image), &fixture.blobs()).unwrap();
    }
    fixture.unpacked(ArchiveFormat::Docker);
    assert_eq!(streams[0], fs::read(fixture.root.path().join("image.tar")).unwrap());
    assert_eq!(streams[0], streams[1]);
}

#[test]
fn what_is_wrong_leaves_the_old_file() {
    let file = |fixture: &Fixture| fixture.root.path().join("image.tar");
    let attempt = |fixture: &Fixture| {
        fs::write(file(fixture), "old").unwrap();
        let error = write_archive(
            &file(fixture),
            ArchiveFormat::Docker,
            std::slice::from_ref(&fixture.image),
            &fixture.blobs(),
        )
        .unwrap_err();
        assert_eq!(fs::read(file(fixture)).unwrap(), b"old");
        assert_eq!(fs::read_dir(fixture.root.path()).unwrap().count(), 1);
        error
    };
    for content in [&b"second LAYER"[..], b"second", b"second layer and more"] {
        let mut fixture = Fixture::new(&[]);
        fixture.blobs[2].content = content.to_vec();
        assert!(matches!(attempt(&fixture), Error::Corrupt(_)));
        assert!(matches!(fixture.write_layout(), Err(Error::Corrupt(_))));
        assert!(!fixture.layout().join("index.json").exists());
    }
    for content in [&b"\x1f\x8b\x08 broken"[..], &told().blobs[2].content[..20]] {
        let mut fixture = told();
        fixture.blobs[2].content = content.to_vec();
        let written = stream_archive(
            &mut Vec::new(),
            ArchiveFormat::Legacy,
            std::slice::from_ref(&fixture.image),
            &fixture.blobs(),
        );
        assert!(written.is_err());
    }
    let mut missing = Fixture::new(&[]);
    missing.blobs.pop();
    assert!(matches!(attempt(&missing), Error::Invalid(_)));
    let mut index = Fixture::new(&[]);
    index.image.manifest = br#"{"schemaVersion":2,"manifests":[]}"#.to_vec();
    assert!(matches!(attempt(&index), Error::Unsupported(_)));
    let mut garbage = Fixture::new(&[]);
    garbage.image.manifest = b"<html>".to_vec();
    assert!(matches!(attempt(&garbage), Error::Invalid(_)));
}

#[test]
fn tags_of_names() {
    for (name, tag) in
        [("a", "latest"), ("a:1", "1"), ("h:5000/a", "latest"), ("h:5000/a:b", "b"), ("a:1@sha256:00", "1")]
    {
        assert_eq!(index::tag(name), tag, "{name}");
    }
}

#[test]
fn files_get_the_permissions_of_the_caller() {
    let root = tempfile::tempdir().unwrap();
    let (ours, plain) = (root.path().join("ours"), root.path().join("plain"));
    write_file(&ours, |out| out.write_all(b"x").map_err(Error::io("write", "x"))).unwrap();
    fs::write(&plain, "x").unwrap();
    assert_eq!(fs::metadata(ours).unwrap().permissions(), fs::metadata(plain).unwrap().permissions());
}

#[test]
fn devices_pipes_and_descriptors_are_written_to_and_stay() {
    use std::os::fd::AsRawFd;
    use std::os::unix::fs::FileTypeExt;

    let hello = |path: &Path| write_file(path, |out| out.write_all(b"hello").map_err(Error::io("write", path)));
    let (mut from, to) = std::io::pipe().unwrap();
    hello(Path::new(&format!("/proc/self/fd/{}", to.as_raw_fd()))).unwrap();
    drop(to);
    let mut got = String::new();
    from.read_to_string(&mut got).unwrap();
    assert_eq!(got, "hello");
    // A link, so that a failure of this test costs a link and not the machine's device.
    let root = tempfile::tempdir().unwrap();
    let (full, null) = (root.path().join("full"), root.path().join("null"));
    std::os::unix::fs::symlink("/dev/full", &full).unwrap();
    std::os::unix::fs::symlink("/dev/null", &null).unwrap();
    hello(&full).unwrap_err();
    hello(&null).unwrap();
    assert!(null.metadata().unwrap().file_type().is_char_device());
}

#[test]
fn a_symlink_stays_and_its_file_is_written() {
    let root = tempfile::tempdir().unwrap();
    let (link, file) = (root.path().join("link"), root.path().join("file"));
    fs::write(&file, "old").unwrap();
    std::os::unix::fs::symlink("file", &link).unwrap();
    write_file(&link, |out| out.write_all(b"new").map_err(Error::io("write", &link))).unwrap();
    assert!(link.is_symlink());
    assert_eq!(fs::read(file).unwrap(), b"new");
}
