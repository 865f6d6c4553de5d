//! Configs of images.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value};
use steprun_ports::Timestamp;

use crate::document::{Fields, Writer, bytes};
use crate::{History, Platform, Result, time};

/// The config of an image (OCI image-spec, "Image Configuration", and Docker's image-spec v1.2).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Config {
    /// RFC 3339.
    pub created: Option<String>,
    /// Who.
    pub author: Option<String>,
    /// What the image runs on.
    pub platform: Platform,
    /// How containers of it run.
    pub container: ContainerConfig,
    /// Digests of the layers' tar archives, base first.
    pub diff_ids: Vec<String>,
    /// How the layers came about, oldest first.
    pub history: Vec<History>,
    root_fs: Map<String, Value>,
    rest: Map<String, Value>,
}

/// How containers of an image run: the object `config` of a config.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ContainerConfig {
    /// `user[:group]`.
    pub user: Option<String>,
    /// `80/tcp`.
    pub exposed_ports: BTreeSet<String>,
    /// `NAME=VALUE`, in order.
    pub env: Vec<String>,
    /// The command, or the start of it. `Some` of an empty list says that there is none.
    pub entrypoint: Option<Vec<String>>,
    /// The command, or what follows the entrypoint.
    pub cmd: Option<Vec<String>>,
    /// Paths.
    pub volumes: BTreeSet<String>,
    /// An absolute path.
    pub working_dir: Option<String>,
    /// By name.
    pub labels: BTreeMap<String, String>,
    /// `SIGTERM`, `9`.
    pub stop_signal: Option<String>,
    /// Docker's.
    pub healthcheck: Option<Healthcheck>,
    /// Docker's, for Windows; BuildKit sets it with every CMD.
    pub args_escaped: bool,
    /// Docker's triggers for images that are built on this one.
    pub on_build: Vec<String>,
    /// Docker's shell for instructions in shell form.
    pub shell: Option<Vec<String>>,
    rest: Map<String, Value>,
}

/// How Docker tells whether a container works.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Healthcheck {
    /// `["NONE"]`, `["CMD", ...]` or `["CMD-SHELL", "..."]`.
    pub test: Vec<String>,
    /// Nanoseconds; 0 is the default.
    pub interval: i64,
    /// Nanoseconds; 0 is the default.
    pub timeout: i64,
    /// Nanoseconds; 0 is the default.
    pub start_period: i64,
    /// Nanoseconds; 0 is the default.
    pub start_interval: i64,
    /// 0 is the default.
    pub retries: i64,
    rest: Map<String, Value>,
}

impl Config {
    /// The config of an empty image.
    pub fn new(platform: Platform) -> Self {
        Self { platform, ..Self::default() }
    }

    /// Reads a config.
    ///
    /// # Errors
    /// If it is no JSON object or a field is of the wrong type.
    pub fn parse(bytes: &[u8]) -> Result<Self> {
        let mut fields = Fields::parse("config", bytes)?;
        let mut root_fs = Fields::of("rootfs", fields.take("rootfs").unwrap_or_else(|| Map::new().into()))?;
        root_fs.take("type");
        Ok(Self {
            created: fields.text("created")?,
            author: fields.text("author")?,
            platform: read_platform(&mut fields)?,
            container: fields.take("config").map(ContainerConfig::read).transpose()?.unwrap_or_default(),
            diff_ids: root_fs.texts("diff_ids")?,
            history: fields.list("history")?.into_iter().map(History::read).collect::<Result<_>>()?,
            root_fs: root_fs.rest(),
            rest: fields.rest(),
        })
    }

    /// The bytes in the fixed order.
    pub fn to_bytes(&self) -> Vec<u8> {
        let history: Vec<Value> = self.history.iter().map(History::write).collect();
        let root_fs =
            Writer::default().always("type", "layers").always("diff_ids", self.diff_ids.clone()).rest(&self.root_fs);
        let mut writer =
            Writer::default().some("created", self.created.as_deref()).some("author", self.author.as_deref());
        if let Value::Object(platform) = self.platform.write() {
            writer = platform.into_iter().fold(writer, |writer, (name, value)| writer.always(&name, value));
        }
        let value = writer
            .always("config", self.container.write())
            .always("rootfs", root_fs)
            .some("history", (!history.is_empty()).then_some(history))
            .rest(&self.rest);
        bytes(&value)
    }

    /// The history alone, as a JSON list.
    pub fn history_json(&self) -> String {
        Value::from(self.history.iter().map(History::write).collect::<Vec<_>>()).to_string()
    }

    /// Sets when the image was made.
    pub fn set_created(&mut self, created: Timestamp) {
        self.created = Some(time::format(created));
    }

    /// Adds a layer and how it came about.
    pub fn add_layer(&mut self, diff_id: &str, mut history: History) {
        history.empty_layer = false;
        self.diff_ids.push(diff_id.into());
        self.history.push(history);
    }
}

/// The fields of a platform, which stand among the config's own.
fn read_platform(fields: &mut Fields) -> Result<Platform> {
    let names = ["architecture", "os", "os.version", "os.features", "variant"];
    let taken = names.into_iter().filter_map(|name| fields.take(name).map(|value| (name.to_owned(), value)));
    Platform::read(Value::Object(taken.collect()))
}

impl ContainerConfig {
    /// The value of an environment variable.
    pub fn env(&self, name: &str) -> Option<&str> {
        self.env
            .iter()
            .filter_map(|pair| pair.split_once('='))
            .find(|(other, _)| *other == name)
            .map(|(_, value)| value)
    }

    /// Sets an environment variable: in place where it is there, else behind the others.
    pub fn set_env(&mut self, name: &str, value: &str) {
        let pair = format!("{name}={value}");
        let has_name = |other: &&mut String| other.split('=').next() == Some(name);
        match self.env.iter_mut().find(has_name) {
            Some(other) => *other = pair,
            None => self.env.push(pair),
        }
    }

    fn read(value: Value) -> Result<Self> {
        let mut fields = Fields::of("config.config", value)?;
        Ok(Self {
            user: filled(fields.text("User")?),
            exposed_ports: fields.keys("ExposedPorts")?.into_iter().collect(),
            env: fields.texts("Env")?,
            entrypoint: command(&mut fields, "Entrypoint")?,
            cmd: command(&mut fields, "Cmd")?,
            volumes: fields.keys("Volumes")?.into_iter().collect(),
            working_dir: filled(fields.text("WorkingDir")?),
            labels: fields.text_map("Labels")?,
            stop_signal: filled(fields.text("StopSignal")?),
            healthcheck: fields.take("Healthcheck").map(Healthcheck::read).transpose()?,
            args_escaped: fields.flag("ArgsEscaped")?,
            on_build: fields.texts("OnBuild")?,
            shell: command(&mut fields, "Shell")?,
            rest: fields.rest(),
        })
    }

    fn write(&self) -> Value {
        Writer::default()
            .some("User", self.user.as_deref())
            .some("ExposedPorts", set(&self.exposed_ports))
            .list("Env", &self.env)
            .some("Entrypoint", self.entrypoint.clone())
            .some("Cmd", self.cmd.clone())
            .some("Volumes", set(&self.volumes))
            .some("WorkingDir", self.working_dir.as_deref())
            .text_map("Labels", &self.labels)
            .some("StopSignal", self.stop_signal.as_deref())
            .some("Healthcheck", self.healthcheck.as_ref().map(Healthcheck::write))
            .some("ArgsEscaped", self.args_escaped.then_some(true))
            .list("OnBuild", &self.on_build)
            .some("Shell", self.shell.clone())
            .rest(&self.rest)
    }
}

/// Docker writes empty texts where OCI leaves the field out.
fn filled(text: Option<String>) -> Option<String> {
    text.filter(|text| !text.is_empty())
}

/// A command, of which "empty" and "absent" are different.
fn command(fields: &mut Fields, field: &str) -> Result<Option<Vec<String>>> {
    let there = fields.has(field);
    Ok(Some(fields.texts(field)?).filter(|_| there))
}

/// A Go `map[string]struct{}`.
fn set(names: &BTreeSet<String>) -> Option<Value> {
    let map: Map<String, Value> = names.iter().map(|name| (name.clone(), Value::Object(Map::new()))).collect();
    (!map.is_empty()).then_some(Value::Object(map))
}

impl Healthcheck {
    /// A check by a command.
    pub fn new(test: Vec<String>) -> Self {
        Self { test, ..Self::default() }
    }

    fn read(value: Value) -> Result<Self> {
        let mut fields = Fields::of("healthcheck", value)?;
        Ok(Self {
            test: fields.texts("Test")?,
            interval: fields.integer("Interval")?,
            timeout: fields.integer("Timeout")?,
            start_period: fields.integer("StartPeriod")?,
            start_interval: fields.integer("StartInterval")?,
            retries: fields.integer("Retries")?,
            rest: fields.rest(),
        })
    }

    fn write(&self) -> Value {
        let number = |number: i64| (number != 0).then_some(number);
        Writer::default()
            .list("Test", &self.test)
            .some("Interval", number(self.interval))
            .some("Timeout", number(self.timeout))
            .some("StartPeriod", number(self.start_period))
            .some("StartInterval", number(self.start_interval))
            .some("Retries", number(self.retries))
            .rest(&self.rest)
    }
}
