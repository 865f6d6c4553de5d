//! Lists that come in pages: tags, and what else a registry counts up.

use reqwest::header::{HeaderMap, LINK};
use reqwest::{Method, StatusCode, Url};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::Client;
use crate::auth::Access;
use crate::exchange::{Call, Target};
use crate::{Error, RegistryName, RepositoryName, Result, Tag};

/// The largest page that is read, in bytes.
pub(super) const LONGEST_PAGE: usize = 16 << 20;

/// How many pages are read: a registry that never ends is broken.
pub(super) const MOST_PAGES: usize = 10_000;

#[derive(Deserialize)]
struct TagPage {
    /// Some registries say `null` where there are none.
    tags: Option<Vec<String>>,
}

#[derive(Deserialize)]
struct CatalogPage {
    repositories: Option<Vec<String>>,
}

impl Client {
    /// All tags, in the registry's order.
    ///
    /// # Errors
    /// [`Error::NotFound`] if there is no such repository; [`Error::Invalid`] if the list holds what is no tag.
    pub async fn tags(&self, repository: &RepositoryName) -> Result<Vec<String>> {
        let target = Target::Path("tags/list?n=1000".to_owned());
        let call = Call::new(Method::GET, target, Access::pull(repository), repository.to_string());
        let tags = self.list(call, "tags", |page: TagPage| page.tags.unwrap_or_default()).await?;
        check_names(&repository.to_string(), "tag", &tags, |tag| tag.parse::<Tag>().is_ok())?;
        Ok(tags)
    }

    /// The repositories of a registry, without its name, in its order.
    ///
    /// # Errors
    /// [`Error::NotFound`] and [`Error::Refused`] where the registry keeps no such list; [`Error::Invalid`] if it holds what is no repository.
    pub async fn catalog(&self, registry: &RegistryName) -> Result<Vec<String>> {
        let target = Target::Registry("_catalog?n=1000".to_owned());
        let call = Call::new(Method::GET, target, Access::catalog(registry), registry.to_string());
        let listed = self.list(call, "repositories", |page: CatalogPage| page.repositories.unwrap_or_default()).await?;
        check_names(registry.as_str(), "repository", &listed, |name| {
            format!("{registry}/{name}").parse::<RepositoryName>().is_ok()
        })?;
        Ok(listed)
    }

    /// All pages of a list, of which `call` asks for the first one.
    async fn list<P: DeserializeOwned>(
        &self,
        mut call: Call<'_>,
        what: &str,
        items: impl Fn(P) -> Vec<String>,
    ) -> Result<Vec<String>> {
        let malformed = |reason: String| Error::Invalid { subject: call.subject.clone(), reason };
        let mut found = Vec::new();
        for _ in 0..MOST_PAGES {
            let page = self.exchange.fetch(&call, LONGEST_PAGE).await?;
            if page.status != StatusCode::OK {
                return Err(self.exchange.unexpected(&call, &page).await);
            }
            let parsed = serde_json::from_slice(&page.body)
                .map_err(|_| malformed(format!("the list of {what} is not the JSON expected")))?;
            found.extend(items(parsed));
            match next_page(&page.url, &page.headers) {
                Ok(None) => return Ok(found),
                Ok(Some(url)) => call.target = Target::Url(url),
                Err(reason) => return Err(malformed(reason)),
            }
        }
        Err(malformed(format!("the list of {what} does not end")))
    }
}

/// Names are printed, and a line of its own could give orders to a terminal or a CI runner.
fn check_names(subject: &str, what: &str, names: &[String], sound: impl Fn(&str) -> bool) -> Result<()> {
    let Some(wrong) = names.iter().find(|name| !sound(name)) else { return Ok(()) };
    let shown: String = wrong.chars().take(200).flat_map(char::escape_debug).collect();
    let reason = format!("the list holds `{shown}`, which is no {what}");
    Err(Error::Invalid { subject: subject.to_owned(), reason })
}

pub(super) fn malformed(repository: &RepositoryName, reason: &str) -> Error {
    Error::Invalid { subject: repository.to_string(), reason: reason.to_owned() }
}

/// The next page that `Link: <URL>; rel="next"` names (RFC 8288). It must be on the same server.
pub(super) fn next_page(current: &Url, headers: &HeaderMap) -> std::result::Result<Option<Url>, String> {
    let links = headers.get_all(LINK).iter().filter_map(|v| v.to_str().ok());
    let Some(link) = links.flat_map(parse_link).next() else { return Ok(None) };
    let next = current.join(&link).map_err(|e| format!("the link to the next page is malformed: {e}"))?;
    if next.origin() != current.origin() {
        return Err("the link to the next page leads to another server; refused".to_owned());
    }
    if next == *current {
        return Err("the link to the next page leads to the same page".to_owned());
    }
    Ok(Some(next))
}

/// The targets of a `Link` header whose relation is `next`.
fn parse_link(value: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut rest = value;
    while let Some((_, after)) = rest.split_once('<') {
        let Some((target, after)) = after.split_once('>') else { break };
        let (parameters, others) = match after.find(", <") {
            Some(at) => after.split_at(at),
            None => (after, ""),
        };
        let next = parameters.split(';').any(|parameter| {
            let parameter = parameter.trim().to_ascii_lowercase();
            let relation = parameter.strip_prefix("rel=").map(|r| r.trim_matches('"'));
            relation.is_some_and(|r| r.split_whitespace().any(|word| word == "next"))
        });
        if next {
            found.push(target.to_owned());
        }
        rest = others;
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_are_followed_on_the_same_server_only() {
        let current: Url = "https://a.io/v2/x/tags/list?n=2".parse().unwrap();
        for (link, next) in [
            ("</v2/x/tags/list?last=b&n=2>; rel=\"next\"", Ok(Some("https://a.io/v2/x/tags/list?last=b&n=2"))),
            ("<?last=b>; rel=next", Ok(Some("https://a.io/v2/x/tags/list?last=b"))),
            ("</first>; rel=\"first\", </n>; rel=\"next\"", Ok(Some("https://a.io/n"))),
            ("</prev>; rel=\"prev\"", Ok(None)),
            ("<https://evil.io/>; rel=\"next\"", Err(())),
            ("<http://a.io/>; rel=\"next\"", Err(())),
            ("<?n=2>; rel=\"next\"", Err(())),
            ("nonsense", Ok(None)),
        ] {
            let headers = HeaderMap::from_iter([(LINK, link.parse().unwrap())]);
            let found = next_page(&current, &headers).map_err(drop);
            let found = found.map(|url| url.map(String::from));
            assert_eq!(found, next.map(|url| url.map(str::to_owned)), "{link}");
        }
    }
}
