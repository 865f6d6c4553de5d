//! What the name of a host says about how to reach it.

use std::net::IpAddr;

/// The host of `HOST[:PORT]`, without brackets.
pub(crate) fn host_of(authority: &str) -> &str {
    if let Some(rest) = authority.strip_prefix('[') {
        return rest.split(']').next().unwrap_or(rest);
    }
    authority.split(':').next().unwrap_or(authority)
}

/// Whether a host is this machine: `localhost`, `*.localhost`, 127.0.0.0/8, ::1.
pub(crate) fn is_loopback(host: &str) -> bool {
    let host = host.trim_start_matches('[').trim_end_matches(']');
    match host.parse::<IpAddr>() {
        Ok(address) => address.to_canonical().is_loopback(),
        Err(_) => host == "localhost" || host.ends_with(".localhost"),
    }
}

/// Whether a host is an address of this machine or its link. Metadata services of clouds live there: a registry elsewhere has no
/// business sending us to one.
pub(crate) fn is_machine_local(host: &str) -> bool {
    let host = host.trim_start_matches('[').trim_end_matches(']');
    match host.parse::<IpAddr>().map(|address| address.to_canonical()) {
        Ok(IpAddr::V4(v4)) => v4.is_loopback() || v4.is_link_local() || v4.is_unspecified(),
        Ok(IpAddr::V6(v6)) => v6.is_loopback() || v6.is_unicast_link_local() || v6.is_unspecified(),
        Err(_) => is_loopback(host),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_are_told_apart() {
        for (authority, loopback, local) in [
            ("localhost:5000", true, true),
            ("registry.localhost", true, true),
            ("127.1.2.3:80", true, true),
            ("[::1]:5000", true, true),
            ("[::ffff:127.0.0.1]", true, true),
            ("10.0.0.1", false, false),
            ("169.254.169.254:80", false, true),
            ("[fe80::1]", false, true),
            ("quay.io", false, false),
            ("localhost.evil.org", false, false),
            ("8.8.8.8", false, false),
        ] {
            let host = host_of(authority);
            assert_eq!(is_loopback(host), loopback, "{authority}");
            assert_eq!(is_machine_local(host), local, "{authority}");
        }
    }
}
