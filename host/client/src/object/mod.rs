//! Objects of S3-compatible stores: where they are, and who asks for them.

mod address;
mod hmac;
mod signature;

use std::fmt;
use std::time::SystemTime;

use reqwest::Url;
use reqwest::header::HeaderMap;

use crate::{Environment, Secret};
use signature::Login;

/// The region of AWS that others are told apart from.
const FIRST_REGION: &str = "us-east-1";

/// How S3-compatible stores are reached, and with which login: by the variables of AWS's own tools and of Kaniko.
///
/// ```
/// use steprun_client::{Environment, ObjectStore};
///
/// let store = ObjectStore::of(&Environment::new([("AWS_REGION", "eu-west-1")])).unwrap();
/// let url = store.url("bucket", "ci/context.tar.gz").unwrap();
/// assert_eq!(url.as_str(), "https://bucket.s3.eu-west-1.amazonaws.com/ci/context.tar.gz");
/// ```
#[derive(Clone, Debug)]
pub struct ObjectStore {
    /// Of a store that is not AWS's.
    endpoint: Option<Url>,
    /// The bucket's name stands in the path, not in the host's name.
    path_style: bool,
    region: String,
    /// Without one, requests are not signed: buckets may be public.
    login: Option<Login>,
}

impl ObjectStore {
    /// Reads `AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY`, `AWS_SESSION_TOKEN`, `AWS_REGION` (else `AWS_DEFAULT_REGION`), `S3_ENDPOINT` (else
    /// `AWS_ENDPOINT_URL_S3`, `AWS_ENDPOINT_URL`) and `S3_FORCE_PATH_STYLE`. Nothing else is looked at: no file, and no service of the machine.
    ///
    /// # Errors
    /// An endpoint that is no URL, and one of a key's halves alone, in words without a secret.
    pub fn of(environment: &Environment) -> Result<Self, String> {
        let text = |names: &[&str]| names.iter().find_map(|name| environment.text(name)).map(str::to_owned);
        let endpoint = text(&["S3_ENDPOINT", "AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL"]);
        Ok(Self {
            endpoint: endpoint.map(|endpoint| address::endpoint(&endpoint)).transpose()?,
            path_style: text(&["S3_FORCE_PATH_STYLE"]).is_some_and(|value| value.eq_ignore_ascii_case("true")),
            region: text(&["AWS_REGION", "AWS_DEFAULT_REGION"]).unwrap_or_else(|| FIRST_REGION.to_owned()),
            login: login(environment)?,
        })
    }

    /// The URL of an object.
    ///
    /// # Errors
    /// A bucket or key that no URL can name.
    pub fn url(&self, bucket: &str, key: &str) -> Result<Url, String> {
        address::url(self.endpoint.as_ref(), &self.region, self.path_style, bucket, key)
    }

    /// Adds the headers that say who asks (AWS Signature Version 4); all that are there are signed. Nothing without a login.
    pub(crate) fn sign(&self, url: &Url, headers: &mut HeaderMap, now: SystemTime) {
        if let Some(login) = &self.login {
            signature::sign(login, &self.region, url, headers, now);
        }
    }

    /// Who asks, for messages.
    pub(crate) fn asker(&self) -> Asker<'_> {
        Asker(self.login.as_ref())
    }
}

/// Prints whose credentials were sent.
pub(crate) struct Asker<'a>(Option<&'a Login>);

impl fmt::Display for Asker<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(login) => write!(f, "asked with the key {} of AWS_ACCESS_KEY_ID", login.id),
            None => f.write_str("asked without credentials: AWS_ACCESS_KEY_ID is not set"),
        }
    }
}

fn login(environment: &Environment) -> Result<Option<Login>, String> {
    let (id, secret) = (environment.text("AWS_ACCESS_KEY_ID"), environment.text("AWS_SECRET_ACCESS_KEY"));
    let missing = |name: &str, there: &str| Err(format!("{there} is set and {name} is not"));
    match (id, secret) {
        (Some(id), Some(secret)) => Ok(Some(Login {
            id: id.to_owned(),
            secret: Secret::new(secret),
            token: environment.text("AWS_SESSION_TOKEN").map(Secret::new),
        })),
        (None, None) => Ok(None),
        (Some(_), None) => missing("AWS_SECRET_ACCESS_KEY", "AWS_ACCESS_KEY_ID"),
        (None, Some(_)) => missing("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"),
    }
}

/// The code and the message of an error of such a store, which is a document of XML; empty for anything else.
pub(crate) fn words(body: &[u8]) -> String {
    let text = String::from_utf8_lossy(body);
    let element = |name: &str| {
        let (_, rest) = text.split_once(&format!("<{name}>"))?;
        rest.split_once('<').map(|(content, _)| content.trim()).filter(|content| !content.is_empty())
    };
    let words: Vec<&str> = ["Code", "Message"].into_iter().filter_map(element).collect();
    words.join(": ").chars().filter(|c| !c.is_control()).take(LONGEST_WORDS).collect()
}

/// How much of an error is shown, in characters.
const LONGEST_WORDS: usize = 200;

#[cfg(test)]
mod tests {
    use super::*;

    fn store(variables: &[(&str, &str)]) -> Result<ObjectStore, String> {
        ObjectStore::of(&Environment::new(variables.iter().copied()))
    }

    #[test]
    fn half_a_key_is_an_error_without_it() {
        for name in ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"] {
            let error = store(&[(name, "hunter2")]).unwrap_err();
            assert!(error.contains(name) && !error.contains("hunter2"), "{error}");
        }
        let whole =
            store(&[("AWS_ACCESS_KEY_ID", "me"), ("AWS_SECRET_ACCESS_KEY", "hunter2"), ("AWS_SESSION_TOKEN", "t0ken")]);
        let shown = format!("{whole:?}");
        assert!(shown.contains("me") && !shown.contains("hunter2") && !shown.contains("t0ken"), "{shown}");
    }

    #[test]
    fn the_first_variable_that_is_set_counts() {
        let at = |variables: &[(&str, &str)]| store(variables).unwrap().url("b", "k").unwrap().to_string();
        assert_eq!(at(&[]), "https://b.s3.us-east-1.amazonaws.com/k");
        assert_eq!(at(&[("AWS_DEFAULT_REGION", "r")]), "https://b.s3.r.amazonaws.com/k");
        assert_eq!(at(&[("AWS_DEFAULT_REGION", "r"), ("AWS_REGION", "q")]), "https://b.s3.q.amazonaws.com/k");
        let endpoints = [("AWS_ENDPOINT_URL", "http://two.test"), ("S3_ENDPOINT", "http://one.test")];
        assert_eq!(at(&endpoints[..1]), "http://b.two.test/k");
        assert_eq!(at(&endpoints), "http://b.one.test/k");
        assert_eq!(at(&[endpoints[1], ("S3_FORCE_PATH_STYLE", "True")]), "http://one.test/b/k");
        assert_eq!(at(&[endpoints[1], ("S3_FORCE_PATH_STYLE", "false")]), "http://b.one.test/k");
    }

    #[test]
    fn errors_are_told_in_the_stores_words() {
        let body = "<?xml version=\"1.0\"?>\n<Error><Code>NoSuchKey</Code><Message>The key\u{1b} does not exist.</Message></Error>";
        assert_eq!(words(body.as_bytes()), "NoSuchKey: The key does not exist.");
        assert_eq!(words(b"<Error><Code>SlowDown</Code>"), "SlowDown");
        for other in ["", "<html>", "<Code>", "<Code></Code>"] {
            assert_eq!(words(other.as_bytes()), "", "{other}");
        }
    }
}
