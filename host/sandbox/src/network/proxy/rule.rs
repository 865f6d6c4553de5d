//! Which hosts may be reached.

use std::io;
use std::net::{IpAddr, Ipv6Addr};
use std::str::FromStr;

/// `example.org`, `*.example.org` (not `example.org` itself), `192.0.2.1`, `[2001:db8::1]`, each with `:PORT` if only that port is meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Rule {
    host: Host,
    port: Option<u16>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Host {
    /// In small letters.
    Name(String),
    /// In small letters, beginning with the dot.
    Suffix(String),
    Address(IpAddr),
}

impl FromStr for Rule {
    type Err = io::Error;

    fn from_str(text: &str) -> io::Result<Self> {
        let invalid = || {
            let reason = format!(
                "`{text}` names no host: example.org, *.example.org or an address, and :PORT if it must be one"
            );
            io::Error::new(io::ErrorKind::InvalidInput, reason)
        };
        if let Ok(address) = text.parse() {
            return Ok(Self { host: Host::Address(address), port: None });
        }
        let (host, port) = match split(text).ok_or_else(invalid)? {
            (host, None) => (host, None),
            (host, Some(port)) => (host, Some(port.parse().map_err(|_| invalid())?)),
        };
        let host = match (host.parse(), host.strip_prefix('*')) {
            (Ok(address), _) => Host::Address(address),
            (_, Some(suffix)) if suffix.starts_with('.') && is_name(&suffix[1..]) => Host::Suffix(normal(suffix)),
            (_, None) if is_name(host) => Host::Name(normal(host)),
            _ => return Err(invalid()),
        };
        Ok(Self { host, port })
    }
}

impl Rule {
    /// Whether a host, as it was written by the client, may be reached at a port.
    pub(super) fn allows(&self, host: &str, port: u16) -> bool {
        let written = normal(host);
        let matches = match &self.host {
            Host::Name(name) => written == *name,
            // With something before the dot.
            Host::Suffix(suffix) => written.len() > suffix.len() && written.ends_with(suffix.as_str()),
            Host::Address(address) => written.parse() == Ok(*address),
        };
        matches && self.port.is_none_or(|own| own == port)
    }

    /// Whether this very address is allowed, so that even an inner one may be reached.
    pub(super) fn names(&self, address: IpAddr, port: u16) -> bool {
        self.host == Host::Address(address) && self.port.is_none_or(|own| own == port)
    }
}

/// Host and port of `host`, `host:port`, `[v6]` or `[v6]:port`; brackets are taken off. None where that is none of them.
pub(super) fn split(text: &str) -> Option<(&str, Option<&str>)> {
    if let Some(rest) = text.strip_prefix('[') {
        let (address, rest) = rest.split_once(']')?;
        address.parse::<Ipv6Addr>().ok()?;
        return match rest.strip_prefix(':') {
            Some(port) => Some((address, Some(port))),
            None => rest.is_empty().then_some((address, None)),
        };
    }
    match text.split_once(':') {
        Some((_, port)) if port.contains(':') => None,
        Some((host, port)) => Some((host, Some(port))),
        None => Some((text, None)),
    }
}

/// Whether this can be a host's name (RFC 1123, 2.1; underscores occur).
pub(super) fn is_name(text: &str) -> bool {
    let text = text.strip_suffix('.').unwrap_or(text);
    let label = |label: &str| {
        !label.is_empty() && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
    };
    text.len() <= 253 && text.split('.').all(label)
}

/// Small letters, without the dot of the root.
fn normal(name: &str) -> String {
    name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase()
}

/// Whether an address is of the host itself or of what its cloud tells only it: loopback, unspecified, link-local (RFC 3927, RFC 4291) and Amazon's
/// metadata service; in IPv6's clothes too (RFC 4291 2.5.5, RFC 6052).
pub(super) fn is_inner(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => {
            // All of 0.0.0.0/8 is this network (RFC 1122, 3.2.1.3). 100.100.100.200 and 168.63.129.16 are Alibaba's and Azure's.
            address.is_loopback()
                || address.is_link_local()
                || address.is_multicast()
                || address.is_broadcast()
                || address.octets()[0] == 0
                || [[100, 100, 100, 200], [168, 63, 129, 16]].contains(&address.octets())
        }
        IpAddr::V6(address) => {
            const AMAZON: Ipv6Addr = Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254);
            let translated = || address.segments()[..6] == [0x64, 0xff9b, 0, 0, 0, 0];
            let carried = address.to_ipv4().or_else(|| {
                let [.., a, b, c, d] = address.octets();
                translated().then(|| [a, b, c, d].into())
            });
            address.is_loopback()
                || address.is_unspecified()
                || address.is_unicast_link_local()
                || address.is_multicast()
                || address == AMAZON
                || carried.is_some_and(|carried| is_inner(carried.into()))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(text: &str) -> Rule {
        text.parse().expect(text)
    }

    #[test]
    fn hosts_and_ports_match() {
        let table = [
            ("example.org", "EXAMPLE.org", 443, true),
            ("Example.Org", "example.org.", 80, true),
            ("example.org", "a.example.org", 443, false),
            ("example.org", "notexample.org", 443, false),
            ("*.example.org", "a.example.org", 443, true),
            ("*.example.org", "a.b.Example.org", 443, true),
            ("*.example.org", "example.org", 443, false),
            ("*.example.org", "aexample.org", 443, false),
            ("example.org:443", "example.org", 443, true),
            ("example.org:443", "example.org", 80, false),
            ("192.0.2.1", "192.0.2.1", 80, true),
            ("192.0.2.1:8080", "192.0.2.1", 80, false),
            ("[2001:db8::1]:80", "2001:DB8:0::1", 80, true),
            ("2001:db8::1", "2001:db8::1", 80, true),
        ];
        for (text, host, port, expected) in table {
            assert_eq!(rule(text).allows(host, port), expected, "{text} for {host}:{port}");
        }
    }

    #[test]
    fn what_names_no_host_is_refused() {
        for text in [
            "",
            "*",
            "*.",
            "*example.org",
            "a..b",
            "a b",
            "a:b",
            "a:70000",
            "http://a",
            "a/b",
            "[::1",
            "[a]:1",
            "a:1:2",
        ] {
            assert!(text.parse::<Rule>().is_err(), "{text}");
        }
    }

    #[test]
    fn inner_addresses_are_known() {
        let inner = [
            "127.0.0.1",
            "127.9.9.9",
            "0.0.0.0",
            "0.1.2.3",
            "169.254.169.254",
            "::1",
            "::",
            "fe80::1",
            "febf::1",
            "fd00:ec2::254",
            "::ffff:127.0.0.1",
            "::ffff:169.254.169.254",
            "::169.254.169.254",
            "64:ff9b::a9fe:a9fe",
            "255.255.255.255",
            "224.0.0.1",
            "ff02::1",
            "100.100.100.200",
            "168.63.129.16",
        ];
        for text in inner {
            assert!(is_inner(text.parse().expect(text)), "{text}");
        }
        for text in [
            "192.0.2.1",
            "10.0.0.1",
            "172.17.0.1",
            "2001:db8::1",
            "fd00:ec2::253",
            "::ffff:192.0.2.1",
            "64:ff9b::c000:201",
        ] {
            assert!(!is_inner(text.parse().expect(text)), "{text}");
        }
        assert!(rule("169.254.169.254").names([169, 254, 169, 254].into(), 80));
        assert!(!rule("metadata.internal").names([169, 254, 169, 254].into(), 80));
    }
}
