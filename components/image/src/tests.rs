use proptest::prelude::*;
use serde_json::{Value, json};
use steprun_ports::Timestamp;

use crate::*;

#[test]
fn platforms_are_read_and_normalised() {
    for (typed, expected) in [
        ("linux/amd64", "linux/amd64"),
        ("Linux/x86_64", "linux/amd64"),
        ("linux/amd64/v1", "linux/amd64"),
        ("linux/amd64/v3", "linux/amd64/v3"),
        ("linux/aarch64", "linux/arm64"),
        ("linux/arm64/v8", "linux/arm64"),
        ("linux/arm64/v9", "linux/arm64/v9"),
        ("linux/arm", "linux/arm/v7"),
        ("linux/arm/6", "linux/arm/v6"),
        ("linux/armhf", "linux/arm/v7"),
        ("linux/armel", "linux/arm/v6"),
        ("linux/i386", "linux/386"),
        ("macos/arm64", "darwin/arm64"),
        ("windows/amd64:10.0.17763", "windows/amd64:10.0.17763"),
    ] {
        assert_eq!(typed.parse::<Platform>().unwrap().to_string(), expected, "{typed}");
    }
    for wrong in ["", "linux", "linux/", "/amd64", "a/b/c/d", "linux/amd64:", "linux/am d64"] {
        assert_eq!(wrong.parse::<Platform>(), Err(Error::Platform(wrong.into())), "{wrong}");
    }
}

fn offered(platform: &str) -> Descriptor {
    let mut descriptor = Descriptor::new(media_type::OCI_MANIFEST, &format!("sha256:{platform}"), 1);
    let words: Vec<&str> = platform.split([':', '/']).collect();
    let mut value = json!({"os": words[0], "architecture": words[1]});
    if platform.contains(':') {
        value["os.version"] = json!(words[2]);
    } else if let Some(variant) = words.get(2) {
        value["variant"] = json!(variant);
    }
    descriptor.platform = Some(Platform::read(value).unwrap());
    descriptor
}

#[test]
fn an_index_gives_the_image_for_a_platform() {
    let all = ["unknown/unknown", "linux/amd64/v2", "linux/amd64", "linux/arm/v6", "linux/arm/v7", "linux/arm64/v8"];
    let index =
        Index::new(all.into_iter().chain(["windows/amd64:10.0.17763.1", "linux/riscv64/x"]).map(offered).collect());
    for (wanted, found) in [
        ("linux/amd64", "linux/amd64"),
        ("unknown/unknown", "unknown/unknown"),
        ("linux/amd64/v2", "linux/amd64/v2"),
        ("linux/arm", "linux/arm/v7"),
        ("linux/arm/v6", "linux/arm/v6"),
        ("linux/arm64", "linux/arm64/v8"),
        ("linux/riscv64", "linux/riscv64/x"),
        ("windows/amd64:10.0.17763", "windows/amd64:10.0.17763.1"),
        ("linux/amd64/v3", "linux/amd64/v2"),
        ("linux/arm/v8", "linux/arm/v7"),
        ("linux/arm64/v9", "linux/arm64/v8"),
    ] {
        let image = index.image_for(&wanted.parse().unwrap()).unwrap();
        assert_eq!(image.digest, format!("sha256:{found}"), "{wanted}");
    }
    for absent in ["linux/s390x", "linux/arm/v5", "windows/amd64:10.0.1776"] {
        assert!(matches!(index.image_for(&absent.parse().unwrap()), Err(Error::NoPlatform { .. })), "{absent}");
    }
}

#[test]
fn an_entry_without_platform_is_the_usual_one_where_no_other_is() {
    let unlabelled = Descriptor::new(media_type::OCI_MANIFEST, "sha256:unlabelled", 1);
    let other = Descriptor::new("application/octet-stream", "sha256:other", 1);
    let mut index = Index::new(vec![other, unlabelled, offered("linux/arm64")]);
    let found =
        |index: &Index, wanted: &str| index.image_for(&wanted.parse().unwrap()).ok().map(|image| image.digest.clone());
    assert_eq!(found(&index, "linux/amd64").unwrap(), "sha256:unlabelled");
    assert_eq!(found(&index, "linux/s390x"), None);
    index.manifests.push(offered("linux/amd64"));
    assert_eq!(found(&index, "linux/amd64").unwrap(), "sha256:linux/amd64");
}

#[test]
fn an_index_is_narrowed_to_platforms() {
    let mut attestation = offered("unknown/unknown");
    attestation.digest = "sha256:about-arm64".into();
    attestation.annotations.insert("vnd.docker.reference.digest".into(), "sha256:linux/arm64/v8".into());
    let images = ["linux/amd64", "linux/arm64/v8", "linux/arm/v6", "windows/amd64:10.0.1", "windows/amd64:10.0.2"];
    let mut index = Index::new(images.into_iter().map(offered).chain([attestation]).collect());
    index.annotations.insert("a".into(), "b".into());
    for (wanted, kept) in [
        (&["linux/amd64"][..], &["linux/amd64"][..]),
        (&["linux/arm64", "linux/amd64"], &["linux/amd64", "linux/arm64/v8", "about-arm64"]),
        (&["linux/arm/v7"], &["linux/arm/v6"]),
        (&["windows/amd64"], &["windows/amd64:10.0.1", "windows/amd64:10.0.2"]),
    ] {
        let wanted: Vec<Platform> = wanted.iter().map(|platform| platform.parse().unwrap()).collect();
        let narrowed = index.clone().narrowed(&wanted).unwrap();
        let digests: Vec<&str> = narrowed.manifests.iter().map(|image| &image.digest["sha256:".len()..]).collect();
        assert_eq!((digests.as_slice(), narrowed.annotations.len()), (kept, 1));
    }
    let wanted = ["linux/amd64", "linux/s390x"].map(|platform| platform.parse().unwrap());
    assert!(matches!(index.narrowed(&wanted), Err(Error::NoPlatform { .. })));
}

#[test]
fn a_replaced_descriptor_keeps_what_is_said_of_the_image() {
    let entry = Descriptor::read(json!({
        "mediaType": "a", "digest": "sha256:old", "size": 1, "urls": ["https://old"], "data": "b2xk", "x": 1,
        "platform": {"os": "linux", "architecture": "amd64"}, "annotations": {"a": "b"},
    }))
    .unwrap();
    let new = steprun_ports::Descriptor { media_type: "b".into(), digest: "sha256:new".into(), size: 2 };
    let expected = json!({
        "mediaType": "b", "digest": "sha256:new", "size": 2, "annotations": {"a": "b"},
        "platform": {"architecture": "amd64", "os": "linux"}, "x": 1,
    });
    assert_eq!(entry.replaced_by(&new).write().to_string(), expected.to_string());
}

#[test]
fn times_are_written_and_read() {
    for (seconds, nanoseconds, text) in [
        (0, 0, "1970-01-01T00:00:00Z"),
        (951_782_400, 0, "2000-02-29T00:00:00Z"),
        (-1, 500_000_000, "1969-12-31T23:59:59.5Z"),
        (1_136_214_245, 123_456_789, "2006-01-02T15:04:05.123456789Z"),
        (-62_135_596_800, 0, "0001-01-01T00:00:00Z"),
        (253_402_300_799, 0, "9999-12-31T23:59:59Z"),
    ] {
        let time = Timestamp { seconds, nanoseconds };
        assert_eq!(time::format(time), text);
        assert_eq!(time::parse(text), Ok(time), "{text}");
    }
    for (text, seconds) in
        [("1970-01-01T01:00:00+01:00", 0), ("1969-12-31t16:30:00-07:30", 0), ("2016-12-31T23:59:60Z", 1_483_228_800)]
    {
        assert_eq!(time::parse(text), Ok(Timestamp { seconds, nanoseconds: 0 }), "{text}");
    }
    for wrong in [
        "",
        "1970-01-01",
        "1970-02-29T00:00:00Z",
        "1970-13-01T00:00:00Z",
        "1970-01-01T24:00:00Z",
        "1970-01-01T00:00:00",
        "1970-01-01T00:00:00.Z",
        "1970-01-01 00:00:00Z",
        "1970-01-01T00:00:00+1:00",
        "+970-01-01T00:00:00Z",
        "1970-01-01T00:00:00é",
    ] {
        assert_eq!(time::parse(wrong), Err(Error::Time(wrong.into())), "{wrong}");
    }
}

/// A config as Docker writes it.
fn docker_config() -> Value {
    json!({
        "docker_version": "20.10",
        "config": {
            "Hostname": "", "User": "", "ExposedPorts": {"80/tcp": {}, "443/tcp": {}}, "Env": ["PATH=/bin", "A=b=c"],
            "Cmd": null, "Entrypoint": [], "ArgsEscaped": true, "Labels": {"z": "1", "a": "2"},
            "Healthcheck": {"Test": ["CMD", "true"], "Interval": 5, "New": 1}, "OnBuild": ["RUN x"], "Shell": ["/bin/bash", "-c"]
        },
        "variant": "v8", "architecture": "arm64", "os": "linux",
        "rootfs": {"type": "layers", "diff_ids": ["sha256:1"]},
        "history": [{"created_by": "ADD", "created": "2020-01-01T00:00:00Z"}, {"created_by": "CMD", "empty_layer": true, "x": 1}],
        "container_config": {"Image": "sha256:0"}
    })
}

#[test]
fn a_config_keeps_what_only_docker_knows() {
    let mut config = Config::parse(docker_config().to_string().as_bytes()).unwrap();
    assert_eq!(config.container.env("A"), Some("b=c"));
    assert_eq!((config.container.entrypoint.clone(), config.container.cmd.clone()), (Some(vec![]), None));
    config.container.set_env("PATH", "/usr/bin");
    config.container.set_env("NEW", "");
    config.container.user = Some("1000".into());
    config.set_created(Timestamp::default());
    config.add_layer("sha256:2", History::new(Some(Timestamp::default()), "COPY", true).comment("c"));
    let expected = concat!(
        r#"{"created":"1970-01-01T00:00:00Z","architecture":"arm64","os":"linux","variant":"v8","config":{"User":"1000","#,
        r#""ExposedPorts":{"443/tcp":{},"80/tcp":{}},"Env":["PATH=/usr/bin","A=b=c","NEW="],"Entrypoint":[],"#,
        r#""Labels":{"a":"2","z":"1"},"Healthcheck":{"Test":["CMD","true"],"Interval":5,"New":1},"ArgsEscaped":true,"#,
        r#""OnBuild":["RUN x"],"Shell":["/bin/bash","-c"],"Hostname":""},"rootfs":{"type":"layers","diff_ids":["sha256:1","sha256:2"]},"#,
        r#""history":[{"created":"2020-01-01T00:00:00Z","created_by":"ADD"},{"created_by":"CMD","empty_layer":true,"x":1},"#,
        r#"{"created":"1970-01-01T00:00:00Z","created_by":"COPY","comment":"c"}],"docker_version":"20.10","container_config":{"Image":"sha256:0"}}"#
    );
    assert_eq!(String::from_utf8(config.to_bytes()).unwrap(), expected);
    assert_eq!(Config::parse(&config.to_bytes()).unwrap(), config);
}

#[test]
fn a_new_config_is_what_the_image_spec_requires() {
    let config = Config::new(Platform::new("linux", "amd64", None));
    let expected = r#"{"architecture":"amd64","os":"linux","config":{},"rootfs":{"type":"layers","diff_ids":[]}}"#;
    assert_eq!(String::from_utf8(config.to_bytes()).unwrap(), expected);
}

#[test]
fn wrong_fields_are_named() {
    for (bytes, message) in [
        ("", "config is no JSON object: EOF while parsing a value at line 1 column 0"),
        ("[]", "config is no JSON object: it is another value"),
        (r#"{"config":{"Env":[1]}}"#, "field `Env` of config.config is no list of texts"),
        (r#"{"rootfs":{"diff_ids":1}}"#, "field `diff_ids` of rootfs is no list"),
        (r#"{"created":1}"#, "field `created` of config is no text"),
    ] {
        assert_eq!(Config::parse(bytes.as_bytes()).unwrap_err().to_string(), message);
    }
    let unknown = Document::parse("text/plain", b"{}").unwrap_err();
    assert_eq!(unknown, Error::MediaType("text/plain".into()));
}

fn manifest() -> Value {
    json!({
        "x": [1], "schemaVersion": 2, "mediaType": media_type::DOCKER_MANIFEST,
        "config": {"size": 1, "digest": "sha256:c", "mediaType": media_type::DOCKER_CONFIG},
        "layers": [
            {"mediaType": media_type::DOCKER_LAYER_GZIP, "size": 2, "digest": "sha256:l", "annotations": {"b": "1", "a": "2"}},
            {"mediaType": media_type::DOCKER_FOREIGN_LAYER_GZIP, "size": 3, "digest": "sha256:f", "urls": ["https://u"], "y": true},
            {"mediaType": media_type::DOCKER_LAYER_GZIP, "size": 2, "digest": "sha256:l"},
        ],
    })
}

#[test]
fn a_docker_manifest_becomes_an_oci_one() {
    let manifest = Manifest::parse("ignored", manifest().to_string().as_bytes()).unwrap();
    assert_eq!(manifest.media_type, media_type::DOCKER_MANIFEST);
    assert_eq!(
        manifest.blobs().iter().map(|blob| blob.digest.as_str()).collect::<Vec<_>>(),
        ["sha256:c", "sha256:l", "sha256:f"]
    );
    let expected = concat!(
        r#"{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","#,
        r#""config":{"mediaType":"application/vnd.oci.image.config.v1+json","digest":"sha256:c","size":1},"layers":["#,
        r#"{"mediaType":"application/vnd.oci.image.layer.v1.tar+gzip","digest":"sha256:l","size":2,"annotations":{"a":"2","b":"1"}},"#,
        r#"{"mediaType":"application/vnd.oci.image.layer.nondistributable.v1.tar+gzip","digest":"sha256:f","size":3,"urls":["https://u"],"y":true},"#,
        r#"{"mediaType":"application/vnd.oci.image.layer.v1.tar+gzip","digest":"sha256:l","size":2}],"x":[1]}"#
    );
    assert_eq!(String::from_utf8(manifest.into_oci().to_bytes()).unwrap(), expected);
}

#[test]
fn media_types_are_told_apart() {
    assert!(
        media_type::is_foreign(media_type::OCI_FOREIGN_LAYER)
            && media_type::is_foreign(media_type::DOCKER_FOREIGN_LAYER_GZIP)
    );
    assert!(!media_type::is_foreign(media_type::DOCKER_LAYER_GZIP));
    assert_eq!(media_type::to_docker(media_type::OCI_LAYER_GZIP), Some(media_type::DOCKER_LAYER_GZIP));
    assert_eq!(media_type::to_docker(media_type::OCI_LAYER_ZSTD), None);
}

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        ".*".prop_map(Value::from)
    ];
    leaf.prop_recursive(3, 16, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map(".*", inner, 0..4).prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

/// Adds unknown fields to an object, whose names no schema has.
fn with_unknown(mut value: Value, unknown: &[(String, Value)]) -> Value {
    for (name, field) in unknown {
        value[format!("x-{name}")] = field.clone();
    }
    value
}

fn holds(value: &Value, unknown: &[(String, Value)]) -> bool {
    unknown
        .iter()
        .all(|(name, _)| value.get(format!("x-{name}")) == with_unknown(json!({}), unknown).get(format!("x-{name}")))
}

proptest! {
    #[test]
    fn no_time_is_lost(seconds in -62_135_596_800i64..253_402_300_800, nanoseconds in 0u32..1_000_000_000) {
        let time = Timestamp { seconds, nanoseconds };
        prop_assert_eq!(time::parse(&time::format(time)), Ok(time));
    }

    #[test]
    fn reading_a_time_or_platform_never_panics(text in ".{0,40}") {
        let _ = time::parse(&text);
        if let Ok(platform) = text.parse::<Platform>() {
            prop_assert_eq!(platform.to_string().parse::<Platform>(), Ok(platform));
        }
    }

    #[test]
    fn unknown_fields_survive(unknown in prop::collection::vec((".*", any_json()), 0..4)) {
        let mut config = with_unknown(docker_config(), &unknown);
        config["config"] = with_unknown(config["config"].take(), &unknown);
        config["rootfs"] = with_unknown(config["rootfs"].take(), &unknown);
        let written: Value = serde_json::from_slice(&Config::parse(config.to_string().as_bytes()).unwrap().to_bytes()).unwrap();
        prop_assert!(holds(&written, &unknown) && holds(&written["config"], &unknown) && holds(&written["rootfs"], &unknown));

        let mut image = with_unknown(manifest(), &unknown);
        image["layers"][0] = with_unknown(image["layers"][0].take(), &unknown);
        let parsed = Manifest::parse("", image.to_string().as_bytes()).unwrap();
        let written: Value = serde_json::from_slice(&parsed.to_bytes()).unwrap();
        prop_assert!(holds(&written, &unknown) && holds(&written["layers"][0], &unknown));
        prop_assert_eq!(Manifest::parse("", &parsed.to_bytes()).unwrap().to_bytes(), parsed.to_bytes());
    }
}
