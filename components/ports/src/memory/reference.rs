//! Image names as they are typed.

/// A parsed `[REGISTRY/]REPOSITORY[:TAG][@DIGEST]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Reference {
    /// `registry/repository`.
    pub(super) repository: String,
    /// Given, or `latest` where neither tag nor digest was.
    pub(super) tag: Option<String>,
    /// Given.
    pub(super) digest: Option<String>,
}

impl Reference {
    pub(super) fn parse(typed: &str) -> Self {
        if let Some((repository, name)) = local(typed) {
            return Self { repository, tag: Some(name.unwrap_or_else(|| "latest".into())), digest: None };
        }
        let (rest, digest) = match typed.split_once('@') {
            Some((rest, digest)) => (rest, Some(digest.to_owned())),
            None => (typed, None),
        };
        let (name, tag) = match rest.rsplit_once(':') {
            Some((name, tag)) if !tag.contains('/') => (name, Some(tag.to_owned())),
            _ => (rest, None),
        };
        let tag = tag.or_else(|| digest.is_none().then(|| "latest".to_owned()));
        Self { repository: full_name(name), tag, digest }
    }
}

/// A file or directory that holds images, as typed but for the name of one of them, and that name.
fn local(typed: &str) -> Option<(String, Option<String>)> {
    let word = ["oci", "oci-archive", "docker-archive", "dir"]
        .into_iter()
        .find(|word| typed.starts_with(&format!("{word}:")))?;
    let rest = &typed[word.len() + 1..];
    let (path, name) = match rest.split_once(':') {
        Some((path, name)) if word != "dir" => (path, Some(name.to_owned())),
        _ => (rest, None),
    };
    Some((format!("{word}:{path}"), name))
}

/// A repository's name with its registry, by Docker's rule: what stands before the first `/` is a registry if it has a dot or a
/// colon or is `localhost`.
pub(super) fn full_name(name: &str) -> String {
    match name.split_once('/') {
        Some((host, _)) if host.contains(['.', ':']) || host == "localhost" => match host {
            "docker.io" => full_name(&name["docker.io/".len()..]),
            _ => name.to_owned(),
        },
        Some(_) => format!("index.docker.io/{name}"),
        None => format!("index.docker.io/library/{name}"),
    }
}

/// Whether a reference is a digest: a tag can't have a colon.
pub(super) fn is_digest(reference: &str) -> bool {
    reference.contains(':')
}
