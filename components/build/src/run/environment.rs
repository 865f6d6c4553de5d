//! Variables of a RUN.

use std::collections::BTreeMap;

use crate::scope::Variables;

/// Variables that neither ENV nor ARG set.
#[derive(Debug, Clone, Default)]
pub(super) struct Extra {
    /// `HTTP_PROXY` and the like, in both cases.
    pub(super) proxies: Vec<(String, String)>,
    /// The user's home directory.
    pub(super) home: String,
    /// Where the first SSH agent is seen.
    pub(super) agent_socket: Option<String>,
    /// Names whose values are secrets: the host sets them.
    pub(super) secrets: Vec<String>,
}

/// The whole environment, sorted by name. As in BuildKit proxies of the command line win over ENV, ENV wins over SSH_AUTH_SOCK, and
/// HOME is only set where it is missing or empty (runc, `init_linux.go`).
pub(super) fn environment(variables: &Variables, extra: Extra) -> Vec<(String, String)> {
    let mut all: BTreeMap<String, String> =
        variables.iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
    all.extend(extra.proxies);
    if let Some(socket) = extra.agent_socket {
        all.entry("SSH_AUTH_SOCK".to_owned()).or_insert(socket);
    }
    if all.get("HOME").is_none_or(String::is_empty) {
        all.insert("HOME".to_owned(), extra.home);
    }
    for name in &extra.secrets {
        all.remove(name);
    }
    all.into_iter().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_wins() {
        let pairs = |pairs: &[(&str, &str)]| -> Vec<(String, String)> {
            pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
        };
        let given = |own: &[(&str, &str)]| {
            let mut variables = Variables::default();
            own.iter().for_each(|(name, value)| variables.set(name, value));
            let extra = Extra {
                proxies: pairs(&[("http_proxy", "p")]),
                home: "/root".into(),
                agent_socket: Some("/s".into()),
                secrets: vec!["TOKEN".into()],
            };
            environment(&variables, extra)
        };
        assert_eq!(given(&[]), pairs(&[("HOME", "/root"), ("SSH_AUTH_SOCK", "/s"), ("http_proxy", "p")]));
        assert_eq!(
            given(&[("HOME", "/h"), ("SSH_AUTH_SOCK", "/own"), ("http_proxy", "x"), ("TOKEN", "t")]),
            pairs(&[("HOME", "/h"), ("SSH_AUTH_SOCK", "/own"), ("http_proxy", "p")])
        );
        assert_eq!(given(&[("HOME", "")])[0].1, "/root");
    }
}
