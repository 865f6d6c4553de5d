//! Instructions that change the image's config alone (BuildKit `dockerfile2llb/convert.go`).

use steprun_dockerfile::instruction::{CommandForm, Healthcheck};
use steprun_image::ContainerConfig;

use crate::quote;

/// Signals by name (moby/sys `signal`), without those of real time.
const SIGNALS: &[&str] = &[
    "ABRT", "ALRM", "BUS", "CHLD", "CLD", "CONT", "FPE", "HUP", "ILL", "INT", "IO", "IOT", "KILL", "PIPE", "POLL",
    "PROF", "PWR", "QUIT", "SEGV", "STKFLT", "STOP", "SYS", "TERM", "TRAP", "TSTP", "TTIN", "TTOU", "URG", "USR1",
    "USR2", "VTALRM", "WINCH", "XCPU", "XFSZ",
];

/// ENV. Gives what history says about it, as the others do.
pub(crate) fn environment(config: &mut ContainerConfig, variables: &[(String, String)]) -> String {
    for (name, value) in variables {
        config.set_env(name, value);
    }
    format!("ENV {}", assignments(variables))
}

/// LABEL.
pub(crate) fn labels(config: &mut ContainerConfig, labels: &[(String, String)]) -> String {
    config.labels.extend(labels.iter().cloned());
    format!("LABEL {}", assignments(labels))
}

fn assignments(pairs: &[(String, String)]) -> String {
    let texts: Vec<String> = pairs.iter().map(|(name, value)| format!("{name}={value}")).collect();
    texts.join(" ")
}

/// EXPOSE, with words that [`ports`] has read.
pub(crate) fn expose(config: &mut ContainerConfig, ports: &[String]) -> String {
    config.exposed_ports.extend(ports.iter().cloned());
    format!("EXPOSE {}", quote::plain_list(ports))
}

/// VOLUME. No directory is made, and what later instructions write there stays.
pub(crate) fn volumes(config: &mut ContainerConfig, paths: &[String]) -> String {
    config.volumes.extend(paths.iter().cloned());
    format!("VOLUME {}", quote::plain_list(paths))
}

/// USER, kept as it is.
pub(crate) fn user(config: &mut ContainerConfig, user: &str) -> String {
    config.user = Some(user.to_owned());
    format!("USER {user}")
}

/// STOPSIGNAL; none if there is no such signal.
pub(crate) fn stop_signal(config: &mut ContainerConfig, signal: &str) -> Option<String> {
    if !is_signal(signal) {
        return None;
    }
    config.stop_signal = Some(signal.to_owned());
    Some(format!("STOPSIGNAL {signal}"))
}

fn is_signal(text: &str) -> bool {
    if let Ok(number) = text.parse::<i32>() {
        return number > 0;
    }
    let upper = text.to_uppercase();
    let name = upper.strip_prefix("SIG").unwrap_or(&upper);
    let real_time = |prefix: &str, sign: char, most: u8| {
        let rest = name.strip_prefix(prefix);
        let offset = |rest: &str| rest.strip_prefix(sign).and_then(|digits| digits.parse::<u8>().ok());
        rest.is_some_and(|rest| rest.is_empty() || offset(rest).is_some_and(|offset| (1..=most).contains(&offset)))
    };
    SIGNALS.contains(&name) || real_time("RTMIN", '+', 15) || real_time("RTMAX", '-', 14)
}

/// SHELL.
pub(crate) fn shell(config: &mut ContainerConfig, shell: &[String]) -> String {
    config.shell = Some(shell.to_vec());
    format!("SHELL {}", quote::plain_list(shell))
}

/// CMD. BuildKit sets Docker's old `ArgsEscaped` with it.
pub(crate) fn command(config: &mut ContainerConfig, form: &CommandForm) -> String {
    let arguments = arguments(config, form);
    let history = format!("CMD {}", quote::quoted_list(&arguments));
    config.cmd = filled(arguments);
    config.args_escaped = true;
    history
}

/// ENTRYPOINT. It clears a CMD that comes from the base.
pub(crate) fn entrypoint(config: &mut ContainerConfig, form: &CommandForm, own_command: bool) -> String {
    let arguments = arguments(config, form);
    let history = format!("ENTRYPOINT {}", quote::quoted_list(&arguments));
    config.entrypoint = filled(arguments);
    if !own_command {
        config.cmd = None;
    }
    history
}

/// The command as the image has it: the shell form with its shell.
fn arguments(config: &ContainerConfig, form: &CommandForm) -> Vec<String> {
    match form {
        CommandForm::Exec(arguments) => arguments.clone(),
        CommandForm::Shell(command) => {
            let mut arguments = shell_of(config);
            arguments.push(command.clone());
            arguments
        }
    }
}

/// What runs shell forms: SHELL, of the base too, or BuildKit's default.
pub(crate) fn shell_of(config: &ContainerConfig) -> Vec<String> {
    let shell = config.shell.clone().filter(|shell| !shell.is_empty());
    shell.unwrap_or_else(|| vec!["/bin/sh".to_owned(), "-c".to_owned()])
}

/// An empty list is left out, as Go does.
fn filled(arguments: Vec<String>) -> Option<Vec<String>> {
    Some(arguments).filter(|arguments| !arguments.is_empty())
}

/// HEALTHCHECK. History shows it as Go prints the struct.
pub(crate) fn healthcheck(config: &mut ContainerConfig, check: &Healthcheck) -> String {
    let (test, durations, retries) = match check {
        Healthcheck::None => (vec!["NONE".to_owned()], [0; 4], 0),
        Healthcheck::Check { command, interval, timeout, start_period, start_interval, retries } => {
            (test(command), [*interval, *timeout, *start_period, *start_interval], *retries)
        }
    };
    let shown = quote::plain_list(&test);
    let [interval, timeout, start_period, start_interval] =
        durations.map(|time| i64::try_from(time).unwrap_or(i64::MAX));
    let mut set = steprun_image::Healthcheck::new(test);
    (set.interval, set.timeout, set.start_period, set.start_interval) =
        (interval, timeout, start_period, start_interval);
    set.retries = i64::from(retries);
    config.healthcheck = Some(set);
    let [interval, timeout, start_period, start_interval] = durations.map(quote::duration);
    format!(
        "HEALTHCHECK {{Test:{shown} Interval:{interval} Timeout:{timeout} StartPeriod:{start_period} StartInterval:{start_interval} Retries:{retries}}}"
    )
}

fn test(command: &CommandForm) -> Vec<String> {
    match command {
        CommandForm::Shell(command) => vec!["CMD-SHELL".to_owned(), command.clone()],
        CommandForm::Exec(arguments) => [&["CMD".to_owned()][..], arguments].concat(),
    }
}

/// Reads a word of EXPOSE: `80`, `53/udp`, `8000-8010/tcp`, and in BuildKit's manner `ip:host:container` of which the last counts
/// (`dockerfile2llb/convert_expose.go`).
///
/// # Errors
/// What is wrong with it.
pub(crate) fn ports(word: &str) -> Result<Vec<String>, String> {
    let container = word.rsplit(':').next().unwrap_or(word);
    let (range, protocol) = container.split_once('/').unwrap_or((container, ""));
    let protocol = match protocol.to_lowercase().as_str() {
        "" | "tcp" => "tcp",
        "udp" => "udp",
        "sctp" => "sctp",
        other => return Err(format!("`{other}` is no protocol: tcp, udp or sctp")),
    };
    let (first, last) = range.split_once('-').unwrap_or((range, range));
    match (first.parse::<u16>(), last.parse::<u16>()) {
        (Ok(first), Ok(last)) if first <= last => Ok((first..=last).map(|port| format!("{port}/{protocol}")).collect()),
        _ => Err(format!("`{word}` is no port: write `80`, `53/udp` or `8000-8010`")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn row_122_ports() {
        let joined = |word| ports(word).map(|ports| ports.join(" "));
        for (word, wanted) in [
            ("80", "80/tcp"),
            ("53/UDP", "53/udp"),
            ("9/sctp", "9/sctp"),
            ("8000-8002/tcp", "8000/tcp 8001/tcp 8002/tcp"),
            ("127.0.0.1:8080:80", "80/tcp"),
        ] {
            assert_eq!(joined(word).as_deref(), Ok(wanted), "{word}");
        }
        for bad in ["", "x", "80/icmp", "70000", "9-8", "1-2-3", "/tcp"] {
            assert!(ports(bad).is_err(), "{bad}");
        }
    }

    proptest::proptest! {
        #[test]
        fn ports_are_read_or_refused(word in "[0-9a-z:/-]{0,12}") {
            if let Ok(found) = ports(&word) {
                proptest::prop_assert!(!found.is_empty());
                proptest::prop_assert!(found.iter().all(|port| ports(port) == Ok(vec![port.clone()])));
            }
        }
    }

    #[test]
    fn row_128_signals() {
        for good in ["SIGTERM", "term", "9", "RTMIN", "SIGRTMIN+3", "RTMAX-14", "sigquit"] {
            assert!(is_signal(good), "{good}");
        }
        for bad in ["", "0", "-1", "SIGNOPE", "RTMIN+16", "RTMIN-1", "RTMAX+1"] {
            assert!(!is_signal(bad), "{bad}");
        }
    }
}
