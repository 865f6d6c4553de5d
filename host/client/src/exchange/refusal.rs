//! What a registry says when it refuses.

use reqwest::StatusCode;
use serde::Deserialize;

/// How much of an unknown body is shown, in characters.
const SHOWN: usize = 200;

/// The error body of the distribution-spec ("Error Codes").
#[derive(Deserialize)]
struct ErrorBody {
    errors: Vec<Diagnostic>,
}

#[derive(Deserialize)]
struct Diagnostic {
    #[serde(default)]
    code: String,
    #[serde(default)]
    message: String,
}

/// Other JSON that servers answer with: token servers, proxies.
#[derive(Deserialize)]
struct OtherBody {
    #[serde(alias = "error_description", alias = "details", alias = "error")]
    message: String,
}

/// A refusal in the registry's own words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Refusal {
    pub(crate) status: StatusCode,
    /// The first error code: `MANIFEST_UNKNOWN`.
    pub(crate) code: Option<String>,
    /// All codes and messages, or the first words of what came instead. May be empty.
    pub(crate) words: String,
}

impl Refusal {
    /// Reads the words out of an answer's body.
    pub(crate) fn new(status: StatusCode, content_type: &str, body: &[u8]) -> Self {
        if let Ok(body) = serde_json::from_slice::<ErrorBody>(body) {
            let words: Vec<_> = body.errors.iter().map(Diagnostic::words).collect();
            let first = body.errors.into_iter().next().map(|d| d.code);
            return Refusal {
                status,
                code: first.filter(|code| !code.is_empty()),
                words: printable(&words.join("; ")),
            };
        }
        let words = match serde_json::from_slice::<OtherBody>(body) {
            Ok(other) => printable(&other.message),
            Err(_) => plain_words(content_type, body),
        };
        Refusal { status, code: None, words }
    }

    /// The words, with the status in front: `status 404 Not Found: NAME_UNKNOWN: …`.
    pub(crate) fn with_status(&self) -> String {
        if self.words.is_empty() {
            format!("status {}", self.status)
        } else {
            format!("status {}: {}", self.status, self.words)
        }
    }
}

impl Diagnostic {
    fn words(&self) -> String {
        match (self.code.as_str(), self.message.as_str()) {
            ("", message) => message.to_owned(),
            (code, "") => code.to_owned(),
            (code, message) => format!("{code}: {message}"),
        }
    }
}

/// The first words of a body that is no registry's: a sign-in page of a proxy, say.
fn plain_words(content_type: &str, body: &[u8]) -> String {
    let text = String::from_utf8_lossy(body);
    let html = content_type.contains("html") || text.trim_start().starts_with('<');
    if !html {
        return printable(&text);
    }
    match printable(&without_tags(&text)).as_str() {
        "" => "an HTML page and not a registry's answer".to_owned(),
        words => format!("an HTML page and not a registry's answer, `{words}`"),
    }
}

/// The text between tags, without what scripts and styles hold.
fn without_tags(html: &str) -> String {
    let mut text = String::new();
    let mut rest = html;
    while let Some((before, tag)) = rest.split_once('<') {
        text.push_str(before);
        text.push(' ');
        let name = tag.trim_start().to_ascii_lowercase();
        let hidden = ["script", "style"].into_iter().find(|n| name.starts_with(n));
        let end = hidden.and_then(|name| tag.find(&format!("</{name}")));
        let from = end.map_or(tag, |at| &tag[at + 1..]);
        rest = from.split_once('>').map_or("", |(_, after)| after);
    }
    text.push_str(rest);
    text
}

/// On one line, without control characters, and not too long.
fn printable(text: &str) -> String {
    let clean: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    let line = clean.split_whitespace().collect::<Vec<_>>().join(" ");
    match line.char_indices().nth(SHOWN) {
        Some((at, _)) => format!("{}…", &line[..at]),
        None => line,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn refusals_are_told_in_words() {
        for (content_type, body, words) in [
            (
                "application/json",
                r#"{"errors":[{"code":"NAME_UNKNOWN","message":"repository name not known to registry","detail":{}}]}"#,
                "NAME_UNKNOWN: repository name not known to registry",
            ),
            ("text/plain", r#"{"errors":[{"code":"A"},{"message":"b"}]}"#, "A; b"),
            ("application/json", r#"{"details":"incorrect password"}"#, "incorrect password"),
            (
                "text/html; charset=utf-8",
                "<html><head><style>p{}</style><title>Sign in</title></head><script>x<1</script>\n<p>Please\u{1b}[31m sign in",
                "an HTML page and not a registry's answer, `Sign in Please [31m sign in`",
            ),
            ("text/html", "", "an HTML page and not a registry's answer"),
            ("text/plain", " denied:\n no ", "denied: no"),
            ("", "", ""),
        ] {
            let refusal = Refusal::new(StatusCode::FORBIDDEN, content_type, body.as_bytes());
            assert_eq!(refusal.words, words);
        }
        let long = Refusal::new(StatusCode::BAD_GATEWAY, "", "é".repeat(1000).as_bytes());
        assert_eq!(long.words.chars().count(), SHOWN + 1);
    }

    proptest! {
        #[test]
        fn no_body_panics(body in any::<Vec<u8>>(), html in "[<>/a-s ]*") {
            Refusal::new(StatusCode::OK, "text/html", &body);
            Refusal::new(StatusCode::OK, "text/html", html.as_bytes());
        }
    }
}
