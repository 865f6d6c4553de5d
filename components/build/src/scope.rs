//! Variables: ARG, ENV and what is there without either (reference, "ARG" and "Environment replacement").

use std::collections::{BTreeMap, BTreeSet};

use steprun_dockerfile::instruction::Arg;
use steprun_dockerfile::{Dockerfile, Source, Word, expand};
use steprun_image::Platform;
use steprun_ports::Failure;

use crate::diagnose;

/// ARGs that RUN sees without their being declared (reference, "Predefined ARGs"), in upper and lower case.
const PROXIES: &[&str] = &["HTTP_PROXY", "HTTPS_PROXY", "FTP_PROXY", "NO_PROXY", "ALL_PROXY"];

/// A Dockerfile's text and how words in it are escaped.
#[derive(Clone, Copy)]
pub(crate) struct Text<'a> {
    pub(crate) source: &'a Source,
    pub(crate) escape: char,
}

/// Variables by name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Variables(BTreeMap<String, String>);

impl Variables {
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    pub(crate) fn set(&mut self, name: &str, value: &str) {
        self.0.insert(name.to_owned(), value.to_owned());
    }

    /// All of them, sorted by name.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// A word with its variables replaced, and the names that have no value.
    pub(crate) fn expand(&self, text: Text<'_>, word: &Word) -> Result<(String, Vec<String>), Failure> {
        let expanded = expand::expand(&word.raw, text.escape, &|name| self.0.get(name).cloned());
        let expanded = expanded.map_err(|error| diagnose::failed(text.source, word.span, error.to_string()))?;
        Ok((expanded.value, expanded.undefined))
    }
}

/// Variables of FROM, and the defaults of ARGs in stages.
pub(crate) struct Globals {
    variables: Variables,
    build_args: BTreeMap<String, String>,
}

impl Globals {
    /// Evaluates the ARGs before the first FROM, in order. A build argument replaces a default, which then isn't evaluated.
    pub(crate) fn new(
        text: Text<'_>,
        dockerfile: &Dockerfile,
        build_args: &BTreeMap<String, String>,
        platforms: &Platforms,
        target: &str,
    ) -> Result<Self, Failure> {
        let mut variables = Variables::default();
        for (name, value) in platforms.variables().into_iter().chain([("TARGETSTAGE".to_owned(), target.to_owned())]) {
            variables.set(&name, build_args.get(&name).unwrap_or(&value));
        }
        for arg in &dockerfile.global_args {
            let (name, _) = variables.expand(text, &arg.name)?;
            let value = match (build_args.get(&name), &arg.default) {
                (Some(given), _) => Some(given.clone()),
                (None, Some(default)) => Some(variables.expand(text, default)?.0),
                (None, None) => None,
            };
            if let Some(value) = value {
                variables.set(&name, &value);
            }
        }
        Ok(Self { variables, build_args: build_args.clone() })
    }

    /// Proxies among the build arguments, each under its name in upper and lower case as programs look for both. History never has them.
    pub(crate) fn proxies(&self) -> Vec<(String, String)> {
        let given = self.build_args.iter().filter(|(name, _)| is_proxy(name));
        let both = given.flat_map(|(name, value)| [(name.to_uppercase(), value), (name.to_lowercase(), value)]);
        both.map(|(name, value)| (name, value.clone())).collect()
    }

    /// Variables that FROM sees.
    pub(crate) fn variables(&self) -> &Variables {
        &self.variables
    }
}

fn is_proxy(name: &str) -> bool {
    PROXIES.iter().any(|proxy| proxy.eq_ignore_ascii_case(name))
}

/// The platform that builds and the one that is built for.
#[derive(Debug, Clone)]
pub(crate) struct Platforms {
    pub(crate) build: Platform,
    pub(crate) target: Platform,
}

impl Platforms {
    /// The value of a variable that every build has; TARGETSTAGE is known to have one.
    pub(crate) fn variable(&self, name: &str) -> Option<String> {
        let stage = ("TARGETSTAGE".to_owned(), "default".to_owned());
        self.variables().into_iter().chain([stage]).find(|(own, _)| own == name).map(|(_, value)| value)
    }

    /// BUILDPLATFORM, BUILDOS and so on, and the same with TARGET (reference, "Automatic platform ARGs in the global scope").
    fn variables(&self) -> Vec<(String, String)> {
        let of = |prefix: &str, platform: &Platform| {
            [
                ("PLATFORM", without_version(platform)),
                ("OS", platform.os.clone()),
                ("OSVERSION", platform.os_version.clone().unwrap_or_default()),
                ("ARCH", platform.architecture.clone()),
                ("VARIANT", platform.variant.clone().unwrap_or_default()),
            ]
            .map(|(name, value)| (format!("{prefix}{name}"), value))
        };
        of("BUILD", &self.build).into_iter().chain(of("TARGET", &self.target)).collect()
    }
}

/// `os/architecture[/variant]`.
fn without_version(platform: &Platform) -> String {
    let mut platform = platform.clone();
    platform.os_version = None;
    platform.to_string()
}

/// Variables of a stage from one instruction to the next. ARG and ENV write the same names: the later one wins.
#[derive(Debug, Clone, Default)]
pub(crate) struct Scope {
    variables: Variables,
    /// ARGs so far, each once, in order, with a value or without: a name without one is not undefined.
    declared: Vec<String>,
}

impl Scope {
    /// The variables of an image's `Env`.
    pub(crate) fn of_environment(environment: &[String]) -> Self {
        let mut scope = Self::default();
        for variable in environment {
            let (name, value) = variable.split_once('=').unwrap_or((variable, ""));
            scope.variables.set(name, value);
        }
        scope
    }

    /// ENV.
    pub(crate) fn set(&mut self, name: &str, value: &str) {
        self.variables.set(name, value);
    }

    pub(crate) fn variables(&self) -> &Variables {
        &self.variables
    }

    /// The ARGs so far with the values that RUN sees, which ENV may have changed since (BuildKit, `runCommandString`). One without a value
    /// is empty.
    pub(crate) fn arguments(&self) -> impl Iterator<Item = (&str, &str)> {
        self.declared.iter().map(|name| (name.as_str(), self.variables.get(name).unwrap_or_default()))
    }

    /// ARG. Gives name and value, and the names that its default uses and that are not defined.
    pub(crate) fn declare(
        &mut self,
        text: Text<'_>,
        globals: &Globals,
        arg: &Arg,
    ) -> Result<(String, Option<String>, Vec<String>), Failure> {
        let (name, _) = self.variables.expand(text, &arg.name)?;
        let mut undefined = Vec::new();
        let value = match (globals.build_args.get(&name), &arg.default) {
            (Some(given), _) => Some(given.clone()),
            (None, Some(default)) => {
                let (value, unknown) = self.variables.expand(text, default)?;
                undefined = unknown;
                Some(value)
            }
            (None, None) => globals.variables.get(&name).map(str::to_owned),
        };
        if let Some(value) = &value {
            self.variables.set(&name, value);
        }
        if !self.declared.contains(&name) {
            self.declared.push(name.clone());
        }
        undefined.retain(|used| !self.declared.contains(used));
        Ok((name, value, undefined))
    }

    /// Those of some names without a value that no ARG declares.
    pub(crate) fn undefined<'n>(&self, names: &'n [String]) -> impl Iterator<Item = &'n str> {
        names.iter().filter(|name| !self.declared.contains(name)).map(String::as_str)
    }
}

/// Build arguments that no ARG asks for: a warning each, since a mistyped name changes nothing silently.
pub(crate) fn unused_build_args(
    dockerfile: &Dockerfile,
    declared_elsewhere: &BTreeSet<String>,
    build_args: &BTreeMap<String, String>,
) -> Vec<String> {
    let in_stages = dockerfile.stages.iter().flat_map(|stage| &stage.instructions).filter_map(|instruction| {
        match &instruction.kind {
            steprun_dockerfile::instruction::Kind::Arg(args) => Some(args),
            _ => None,
        }
    });
    let args = dockerfile.global_args.iter().chain(in_stages.flatten());
    let declared: BTreeSet<&str> =
        args.map(|arg| arg.name.raw.as_str()).chain(declared_elsewhere.iter().map(String::as_str)).collect();
    let platform = |name: &str| name.starts_with("TARGET") || name.starts_with("BUILD");
    let unused = build_args.keys().filter(|name| {
        let predefined = is_proxy(name) || name.as_str() == "SOURCE_DATE_EPOCH";
        !predefined && !platform(name) && !declared.contains(name.as_str())
    });
    unused
        .map(|name| {
            let near = steprun_dockerfile::suggest::nearest(name, declared.iter().copied());
            let meant = near.map_or_else(String::new, |near| format!(" (did you mean `{near}`?)"));
            format!("no ARG asks for the build argument `{name}`{meant}")
        })
        .collect()
}
