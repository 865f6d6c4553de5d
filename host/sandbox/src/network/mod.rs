//! What a command reaches of the network: nothing, some hosts through a proxy, all.

pub(crate) mod proxy;
pub(crate) mod reach;

use zeroize::Zeroizing;

use crate::request::Secret;

/// Tells programs of the proxy at this port of 127.0.0.1, by the variables that they look at: curl reads `http_proxy` in small letters only, others
/// read capitals only. What the build itself set stays.
pub(crate) fn announce(environment: &mut Vec<Secret>, port: u16) {
    let proxy = format!("http://127.0.0.1:{port}");
    let local = "localhost,127.0.0.1,::1";
    for (name, value) in [
        ("http_proxy", proxy.as_str()),
        ("https_proxy", &proxy),
        ("HTTP_PROXY", &proxy),
        ("HTTPS_PROXY", &proxy),
        ("no_proxy", local),
        ("NO_PROXY", local),
    ] {
        let variable = format!("{name}=");
        if !environment.iter().any(|set| set.0.starts_with(variable.as_bytes())) {
            environment.push(Secret(Zeroizing::new(format!("{variable}{value}").into_bytes())));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_of_the_build_stay() {
        let mut environment = vec![Secret(Zeroizing::new(b"http_proxy=http://mine".to_vec()))];
        announce(&mut environment, 4242);
        let text: Vec<_> = environment.iter().map(|set| String::from_utf8_lossy(&set.0)).collect();
        assert_eq!((text.len(), &*text[0]), (6, "http_proxy=http://mine"));
        assert!(text.contains(&"HTTPS_PROXY=http://127.0.0.1:4242".into()), "{text:?}");
    }
}
