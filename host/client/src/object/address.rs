//! URLs of objects ("Methods for accessing a general purpose bucket" in the guide of Amazon S3).

use reqwest::Url;

/// Reads the address of a store; `https` where it names no scheme.
pub(super) fn endpoint(text: &str) -> Result<Url, String> {
    let whole = if text.contains("://") { text.to_owned() } else { format!("https://{text}") };
    let wrong = |reason: String| format!("the endpoint `{}` of S3 can't be used: {reason}", without_login(text));
    let url = Url::parse(&whole).map_err(|error| wrong(error.to_string()))?;
    match url.scheme() {
        "http" | "https" if url.username().is_empty() && url.password().is_none() => {}
        "http" | "https" => return Err(wrong("it holds credentials, which are taken from other variables".to_owned())),
        scheme => return Err(wrong(format!("`{scheme}` is neither http nor https"))),
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err(wrong("it has a query or a fragment".to_owned()));
    }
    Ok(url)
}

/// What may be shown of an address.
fn without_login(text: &str) -> &str {
    text.rsplit_once('@').map_or(text, |(_, place)| place)
}

/// The URL of an object in a bucket; in AWS's own store without an endpoint.
pub(super) fn url(
    endpoint: Option<&Url>,
    region: &str,
    path_style: bool,
    bucket: &str,
    key: &str,
) -> Result<Url, String> {
    if bucket.is_empty() || !bucket.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-_".contains(&byte)) {
        return Err(format!("`{bucket}` is no name of a bucket"));
    }
    if key.is_empty() {
        return Err(format!("nothing in the bucket `{bucket}` is named: write `s3://{bucket}/PATH`"));
    }
    // They would be taken out of a URL, and so lead to another object.
    if key.split('/').any(|part| matches!(part, "." | "..")) {
        return Err(format!("the key `{key}` has a part `.` or `..`, which no URL can hold"));
    }
    let domain = if region.starts_with("cn-") { "amazonaws.com.cn" } else { "amazonaws.com" };
    let base = match endpoint {
        Some(endpoint) => endpoint.clone(),
        None => Url::parse(&format!("https://s3.{region}.{domain}"))
            .map_err(|_| format!("`{region}` is no name of a region"))?,
    };
    let (host, bucket_in_path) = match base.domain() {
        Some(domain) if !path_style && is_label(bucket) => (Some(format!("{bucket}.{domain}")), None),
        _ => (None, Some(bucket)),
    };
    let mut url = base.clone();
    if let Some(host) = host {
        url.set_host(Some(&host)).map_err(|_| format!("`{bucket}` can't be the name of a host"))?;
    }
    let parts = [base.path().trim_end_matches('/'), bucket_in_path.unwrap_or_default(), &encoded(key)];
    let parts: Vec<&str> = parts.into_iter().filter(|part| !part.is_empty()).collect();
    url.set_path(&parts.join("/"));
    Ok(url)
}

/// Whether a bucket can be the first label of a host's name: with a dot in it, certificates would not fit.
fn is_label(bucket: &str) -> bool {
    let edge = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_alphanumeric);
    let bytes = bucket.as_bytes();
    edge(bytes.first())
        && edge(bytes.last())
        && bytes.iter().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || *byte == b'-')
}

/// `UriEncode` of AWS's documents, which leaves slashes as they are: exactly what is signed.
fn encoded(key: &str) -> String {
    let mut encoded = String::new();
    for byte in key.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~/".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            encoded.push_str(&format!("%{byte:02X}"));
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(address: Option<&str>, path_style: bool, bucket: &str, key: &str) -> String {
        let endpoint = address.map(|address| endpoint(address).unwrap());
        url(endpoint.as_ref(), "eu-west-1", path_style, bucket, key).map_or_else(|error| error, String::from)
    }

    #[test]
    fn where_objects_are() {
        for (address, path_style, bucket, key, wanted) in [
            (None, false, "b", "a/c.tar", "https://b.s3.eu-west-1.amazonaws.com/a/c.tar"),
            (None, true, "b", "a", "https://s3.eu-west-1.amazonaws.com/b/a"),
            (None, false, "b.c", "a", "https://s3.eu-west-1.amazonaws.com/b.c/a"),
            (None, false, "Up_per", "a", "https://s3.eu-west-1.amazonaws.com/Up_per/a"),
            (Some("http://store.test:9000"), false, "b", "a", "http://b.store.test:9000/a"),
            (Some("store.test/"), true, "b", "a", "https://store.test/b/a"),
            (Some("https://store.test/s3/"), true, "b", "a", "https://store.test/s3/b/a"),
            (Some("http://127.0.0.1:9000"), false, "b", "a", "http://127.0.0.1:9000/b/a"),
            (Some("http://[::1]:9000"), false, "b", "a", "http://[::1]:9000/b/a"),
            (None, true, "b", "a b+c=?#%ü", "https://s3.eu-west-1.amazonaws.com/b/a%20b%2Bc%3D%3F%23%25%C3%BC"),
            (None, true, "b", "/a//c/", "https://s3.eu-west-1.amazonaws.com/b//a//c/"),
        ] {
            assert_eq!(at(address, path_style, bucket, key), wanted);
        }
    }

    #[test]
    fn what_names_no_object() {
        for (bucket, key, words) in [
            ("", "a", "no name of a bucket"),
            ("b@c", "a", "no name of a bucket"),
            ("b", "", "write `s3://b/PATH`"),
            ("b", "a/../c", "a part `.` or `..`"),
        ] {
            assert!(at(None, false, bucket, key).contains(words), "{bucket} {key}");
        }
        for (address, words) in [
            ("ftp://store.test", "neither http nor https"),
            ("https://me:hunter2@store.test", "holds credentials"),
            ("https://store.test/?a=b", "has a query"),
            ("https://", "can't be used"),
        ] {
            let error = endpoint(address).unwrap_err();
            assert!(error.contains(words) && !error.contains("hunter2"), "{error}");
        }
    }
}
