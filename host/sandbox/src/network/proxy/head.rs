//! The head of a request: who is asked for, and what goes on to it.

use std::io::{self, Read};

use super::rule;

/// Bytes that a head may have.
pub(super) const MOST: usize = 64 << 10;
/// Fields that are between the client and this proxy (RFC 9110, 7.6.1 and 11.7).
const OURS: [&str; 4] = ["proxy-connection", "proxy-authorization", "connection", "keep-alive"];

/// A request's head.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Head {
    /// A name, or an address without brackets.
    pub(super) host: String,
    pub(super) port: u16,
    /// What the server gets as head; none where the client speaks to the server itself (CONNECT).
    pub(super) forwarded: Option<Vec<u8>>,
}

/// Why a head isn't one.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Unreadable(pub(super) &'static str);

/// Reads a head, and gives what came after it as well. The error outside is the connection's, the one inside the client's.
pub(super) fn read(from: &mut impl Read) -> io::Result<Result<(Head, Vec<u8>), Unreadable>> {
    let mut bytes = Vec::new();
    let mut block = [0; 4096];
    loop {
        let length = from.read(&mut block)?;
        if length == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        // The end may lie across two blocks.
        let searched = bytes.len().saturating_sub(3);
        bytes.extend_from_slice(&block[..length]);
        if let Some(at) = bytes[searched..].windows(4).position(|four| four == b"\r\n\r\n") {
            let rest = bytes.split_off(searched + at + 4);
            return Ok(parse(&bytes).map(|head| (head, rest)));
        }
        if bytes.len() > MOST {
            return Ok(Err(Unreadable("the request's head is longer than 64 KiB")));
        }
    }
}

fn parse(bytes: &[u8]) -> Result<Head, Unreadable> {
    let text = std::str::from_utf8(bytes).map_err(|_| Unreadable("the request's head is not UTF-8"))?;
    let (line, fields) = text.split_once("\r\n").ok_or(Unreadable("the request has no first line"))?;
    let mut words = line.split(' ');
    let (Some(method), Some(target), Some(version), None) = (words.next(), words.next(), words.next(), words.next())
    else {
        return Err(Unreadable("the request's first line is not `METHOD TARGET VERSION`"));
    };
    if !version.starts_with("HTTP/1.") {
        return Err(Unreadable("this proxy speaks HTTP/1"));
    }
    if method == "CONNECT" {
        let (host, port) = authority(target, None)?;
        return Ok(Head { host, port, forwarded: None });
    }
    let rest = strip_scheme(target)
        .ok_or(Unreadable("this is a proxy: it takes CONNECT, and requests whose target is a whole http:// URL"))?;
    let end = rest.find(['/', '?']).unwrap_or(rest.len());
    let (host, port) = authority(&rest[..end], Some(80))?;
    let path = if rest[end..].starts_with('/') { rest[end..].to_owned() } else { format!("/{}", &rest[end..]) };
    Ok(Head { host, port, forwarded: Some(forward(method, &path, &rest[..end], fields)) })
}

fn strip_scheme(target: &str) -> Option<&str> {
    let (scheme, rest) = target.split_at_checked("http://".len())?;
    scheme.eq_ignore_ascii_case("http://").then_some(rest)
}

fn authority(text: &str, default: Option<u16>) -> Result<(String, u16), Unreadable> {
    let (host, port) = rule::split(text).ok_or(Unreadable("the target's host can't be read"))?;
    let port = match port {
        Some(port) => port.parse().ok(),
        None => default,
    };
    let port = port.filter(|port| *port != 0).ok_or(Unreadable("the target has no port"))?;
    if !rule::is_name(host) && host.parse::<std::net::IpAddr>().is_err() {
        return Err(Unreadable("the target's host can't be read"));
    }
    Ok((host.to_owned(), port))
}

/// The head for the server. The connection carries one request only, since the next one could be for another host; and `Host` says who
/// was checked, whatever the client says there.
fn forward(method: &str, path: &str, authority: &str, fields: &str) -> Vec<u8> {
    let mut head = format!("{method} {path} HTTP/1.1\r\nHost: {authority}\r\nConnection: close\r\n");
    let mut skipping = false;
    for line in fields.split("\r\n").filter(|line| !line.is_empty()) {
        // A line that begins with a blank continues the one before (RFC 9112, 5.2).
        if !line.starts_with([' ', '\t']) {
            let name = line.split(':').next().unwrap_or_default().trim();
            skipping = name.eq_ignore_ascii_case("host") || OURS.iter().any(|ours| name.eq_ignore_ascii_case(ours));
        }
        if !skipping {
            head.push_str(line);
            head.push_str("\r\n");
        }
    }
    head.push_str("\r\n");
    head.into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(text: &str) -> Result<(Head, Vec<u8>), Unreadable> {
        read(&mut text.as_bytes()).expect("no error of the connection")
    }

    #[test]
    fn requests_are_read() {
        let table = [
            ("CONNECT example.org:443 HTTP/1.1\r\n\r\nrest", "example.org", 443, None),
            ("CONNECT [2001:db8::1]:443 HTTP/1.1\r\nA: b\r\n\r\nrest", "2001:db8::1", 443, None),
            (
                "GET http://example.org/a?b HTTP/1.1\r\nHost: evil.org\r\nProxy-Connection: keep-alive\r\nA: b\r\n\r\nrest",
                "example.org",
                80,
                Some("GET /a?b HTTP/1.1\r\nHost: example.org\r\nConnection: close\r\nA: b\r\n\r\n"),
            ),
            (
                "GET HTTP://example.org:8080?b HTTP/1.0\r\n\r\nrest",
                "example.org",
                8080,
                Some("GET /?b HTTP/1.1\r\nHost: example.org:8080\r\nConnection: close\r\n\r\n"),
            ),
        ];
        for (text, host, port, forwarded) in table {
            let forwarded = forwarded.map(|text: &str| text.as_bytes().to_vec());
            assert_eq!(head(text), Ok((Head { host: host.into(), port, forwarded }, b"rest".to_vec())), "{text}");
        }
    }

    #[test]
    fn what_is_no_request_is_refused() {
        let lines = [
            "GET / HTTP/1.1",
            "CONNECT example.org HTTP/1.1",
            "CONNECT example.org:0 HTTP/1.1",
            "CONNECT a@b:1 HTTP/1.1",
            "GET http://user@example.org/ HTTP/1.1",
            "GET https://example.org/ HTTP/1.1",
            "GET http://example.org/ HTTP/2",
            "GET http://example.org/  HTTP/1.1",
            "GET",
        ];
        for line in lines {
            assert!(head(&format!("{line}\r\n\r\n")).is_err(), "{line}");
        }
        assert!(head(&"a".repeat(MOST + 5000)).is_err());
    }
}
