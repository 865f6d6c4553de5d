//! Commands about indexes.

use super::*;

#[test]
fn an_index_is_made_of_images() {
    let (host, source, destination) = setup();
    let (index, children) = add_index(&host, &source);
    let one = add_image(&host, &host.repository("third.test/app"), Some("v1"), "s390x");
    let printed =
        call(&host, &["index-append", "-m", "third.test/app:v1", "-m", "source.test/app:v1", "-t", DESTINATION]);
    let made = destination.find("latest").unwrap();
    assert_eq!(printed, format!("{DESTINATION}@{}\n", made.descriptor.digest));
    let made = parsed(&made.content);
    let digests: Vec<_> = made["manifests"].as_array().unwrap().iter().map(|entry| entry["digest"].clone()).collect();
    let expected: Vec<_> = std::iter::once(&one).chain(&children).map(|child| json!(child.digest)).collect();
    assert_eq!(digests, expected);
    assert_eq!(made["manifests"][0]["platform"], json!({"architecture": "s390x", "os": "linux"}));
    // Once more: what is there is not named twice, and the base is overwritten.
    let again = call(&host, &["index-append", DESTINATION, "-m", "source.test/app:v1"]);
    assert_eq!(again, printed);
    // An index in an index.
    let nested = [
        "index-append",
        "-m",
        "source.test/app:v1",
        "--flatten=false",
        "--docker-empty-base",
        "-t",
        "destination.test/app:n",
    ];
    call(&host, &nested);
    let nested = destination.find("n").unwrap();
    assert_eq!(parsed(&nested.content)["manifests"][0]["digest"], json!(index.digest));
    let message = "one of BASE and --tag is needed: the index must go somewhere";
    fails(&host, &["index-append", "-m", "source.test/app:v1"], FailureKind::Usage, message);
}

#[test]
fn an_index_is_filtered() {
    let (host, source, destination) = setup();
    let (index, children) = add_index(&host, &source);
    let mut attested = manifest_of(&source, &index.digest);
    attested["manifests"][2]["annotations"] = json!({"vnd.docker.reference.digest": children[1].digest});
    source.add_manifest(Some("v1"), OCI_INDEX, attested.to_string());
    for (platform, expected) in
        [("linux/amd64", &[0][..]), ("linux/arm64", &[1, 2]), ("linux/amd64,linux/arm64", &[0, 1, 2])]
    {
        call(&host, &["index-filter", "source.test/app:v1", "--platform", platform, "-t", DESTINATION]);
        let made = manifest_of(&destination, "latest");
        let digests: Vec<_> =
            made["manifests"].as_array().unwrap().iter().map(|entry| entry["digest"].clone()).collect();
        let expected: Vec<_> = expected.iter().map(|index| json!(children[*index].digest)).collect();
        assert_eq!(digests, expected, "{platform}");
    }
    let table = call(&host, &["index-list", DESTINATION]);
    assert_eq!(table.lines().count(), 4);
    let row = format!("{:<70} {OCI_MANIFEST:<20} linux/amd64", children[0].digest);
    assert_eq!(
        (table.lines().next().unwrap().split_whitespace().collect::<Vec<_>>(), table.lines().nth(1)),
        (vec!["Digest", "MediaType", "Platform"], Some(row.as_str()))
    );
    let message = "source.test/app:v1: the index has no image for linux/s390x; it has linux/amd64, linux/arm64";
    fails(&host, &["index-filter", "source.test/app:v1", "--platform", "linux/s390x"], FailureKind::Failed, message);
    add_image(&host, &source, Some("one"), "amd64");
    fails(
        &host,
        &["index-list", "source.test/app:one"],
        FailureKind::Failed,
        "source.test/app:one is no index, but a single image",
    );
}
