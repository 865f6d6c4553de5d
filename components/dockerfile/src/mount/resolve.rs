//! From fields to a mount.

use super::{Mount, MountKey, MountSpec, Sharing};
use crate::diagnostic::Diagnostic;
use crate::expand::ExpandError;
use crate::lexical::boolean;
use crate::span::Span;
use crate::suggest;

const TYPES: [&str; 5] = ["bind", "cache", "tmpfs", "secret", "ssh"];
const SHARING: [&str; 3] = ["shared", "private", "locked"];

/// Values of fields, expanded; the last of a key wins.
#[derive(Default)]
struct Values {
    kind: Option<String>,
    from: Option<String>,
    source: String,
    target: String,
    writable: Option<bool>,
    required: bool,
    size: Option<u64>,
    id: Option<String>,
    sharing: Option<Sharing>,
    mode: Option<u32>,
    uid: Option<u32>,
    gid: Option<u32>,
    env: Option<String>,
}

impl MountSpec {
    /// Expands the values and checks them.
    ///
    /// # Errors
    ///
    /// A value that can't be expanded or understood, a key that its type doesn't have, a missing target. As in BuildKit, keys
    /// that a type has no use for are mostly let pass; `mode`, `uid`, `gid`, `size`, `required`, `sharing` and `env` aren't.
    pub fn resolve(&self, expand: &mut dyn FnMut(&str) -> Result<String, ExpandError>) -> Result<Mount, Diagnostic> {
        let mut values = Values::default();
        for field in &self.fields {
            let span = field.value.as_ref().map_or(self.span, |word| word.span);
            let value = match &field.value {
                Some(word) => {
                    let error = |error: ExpandError| Diagnostic::new(span, error.to_string());
                    Some(expand(&word.raw).map_err(error)?)
                }
                None => None,
            };
            values.set(field.key, value, span)?;
        }
        values.check(self.span)?;
        values.into_mount(self.span)
    }
}

impl Values {
    fn kind(&self) -> &str {
        self.kind.as_deref().unwrap_or("bind")
    }

    fn set(&mut self, key: MountKey, value: Option<String>, span: Span) -> Result<(), Diagnostic> {
        let truth = |value: Option<String>, name: &str| match value {
            None => Ok(true),
            Some(text) => {
                boolean(&text).ok_or_else(|| Diagnostic::new(span, format!("invalid value for {name}: {text}")))
            }
        };
        match key {
            MountKey::ReadOnly => self.writable = Some(!truth(value, "readonly")?),
            MountKey::ReadWrite => self.writable = Some(truth(value, "readwrite")?),
            MountKey::Required => {
                self.only(&["secret", "ssh"], "required", span)?;
                self.required = truth(value, "required")?;
            }
            _ => self.set_text(key, value.unwrap_or_default(), span)?,
        }
        Ok(())
    }

    fn set_text(&mut self, key: MountKey, value: String, span: Span) -> Result<(), Diagnostic> {
        let invalid = |name: &str, value: &str| Diagnostic::new(span, format!("invalid value {value} for {name}"));
        let number = |value: &str, name: &str, radix| {
            // Go's ParseUint knows no sign.
            let digits = !value.starts_with('+');
            let parsed = u32::from_str_radix(value, radix).ok().filter(|_| digits);
            parsed.map(Some).ok_or_else(|| invalid(name, value))
        };
        match key {
            MountKey::Type => self.kind = Some(choice(&value, &TYPES, "unsupported mount type", span)?),
            MountKey::From => self.from = Some(value).filter(|value| !value.is_empty()),
            MountKey::Source => self.source = value,
            MountKey::Target => self.target = value,
            MountKey::Id => self.id = Some(value).filter(|value| !value.is_empty()),
            MountKey::Env => self.env = Some(value),
            MountKey::Mode => self.mode = number(&value, "mode", 8)?,
            MountKey::Uid => self.uid = number(&value, "uid", 10)?,
            MountKey::Gid => self.gid = number(&value, "gid", 10)?,
            MountKey::Size => {
                self.only(&["tmpfs"], "size", span)?;
                self.size = Some(bytes(&value).ok_or_else(|| invalid("size", &value))?);
            }
            MountKey::Sharing => {
                self.sharing = Some(match choice(&value, &SHARING, "unsupported sharing value", span)?.as_str() {
                    "private" => Sharing::Private,
                    "locked" => Sharing::Locked,
                    _ => Sharing::Shared,
                });
            }
            MountKey::ReadOnly | MountKey::ReadWrite | MountKey::Required => {}
        }
        Ok(())
    }

    /// Refuses a key that the type, as far as it is known, doesn't have. As in BuildKit `type` must stand before it.
    fn only(&self, kinds: &[&str], key: &str, span: Span) -> Result<(), Diagnostic> {
        if kinds.contains(&self.kind()) {
            return Ok(());
        }
        let message = format!("unexpected key '{key}' for mount type '{}'", self.kind());
        Err(Diagnostic::new(span, message)
            .with_hint(format!("`{key}` needs `type={}` before it", kinds.join("` or `type="))))
    }

    /// What can be judged only when all fields are known.
    fn check(&self, span: Span) -> Result<(), Diagnostic> {
        let kind = self.kind();
        let refuse = |message: String| Err(Diagnostic::new(span, message));
        if matches!(kind, "bind" | "tmpfs") {
            let given = [(self.mode, "mode"), (self.uid, "uid"), (self.gid, "gid")];
            if let Some((_, name)) = given.iter().find(|(value, _)| value.is_some()) {
                return refuse(format!("{name} not allowed for \"{kind}\" type mounts"));
            }
        }
        if self.sharing.is_some() && kind != "cache" {
            return refuse(format!("invalid cache sharing set for {kind} mount"));
        }
        if self.env.is_some() && kind != "secret" {
            return refuse(format!("env not allowed for \"{kind}\" type mounts"));
        }
        if kind == "secret" {
            return self.check_secret(span);
        }
        if kind != "ssh" && self.target.trim_end_matches('/').is_empty() {
            let message = match self.target.as_str() {
                "" => "missing mount target".to_owned(),
                target => format!("invalid mount target \"{target}\""),
            };
            return Err(Diagnostic::new(span, message).with_hint("add `target=` with a path below `/`"));
        }
        Ok(())
    }

    fn check_secret(&self, span: Span) -> Result<(), Diagnostic> {
        let refuse = |message: &str| Err(Diagnostic::new(span, message));
        if self.from.is_some() {
            return refuse("secret mount should not have a from");
        }
        if self.source.is_empty() && self.target.is_empty() && self.id.is_none() {
            return refuse("invalid secret mount. one of source, target required");
        }
        if !self.source.is_empty() && self.id.is_some() {
            return refuse("both source and id can't be set");
        }
        Ok(())
    }

    fn into_mount(self, span: Span) -> Result<Mount, Diagnostic> {
        let Self { from, source, target, id, mode, uid, gid, required, .. } = self;
        Ok(match self.kind.as_deref() {
            None | Some("bind") => Mount::Bind { from, source, target, writable: self.writable.unwrap_or(false) },
            Some("cache") => {
                let sharing = self.sharing.unwrap_or_default();
                let writable = self.writable.unwrap_or(true);
                Mount::Cache { id, from, source, target, writable, sharing, mode, uid, gid }
            }
            Some("tmpfs") => Mount::Tmpfs { target, size: self.size },
            Some("secret") => {
                let named = id.unwrap_or(source);
                let id = if named.is_empty() { base(&target).to_owned() } else { named };
                let file = (self.env.is_none() || !target.is_empty()).then(|| match target.as_str() {
                    "" => format!("/run/secrets/{}", base(&id)),
                    _ => target,
                });
                Mount::Secret { id, target: file, env: self.env, required, mode, uid, gid }
            }
            Some("ssh") => {
                let target = Some(target).filter(|target| !target.is_empty());
                Mount::Ssh { id, target, required, mode, uid, gid }
            }
            Some(other) => {
                return Err(Diagnostic::new(span, format!("unsupported mount type \"{other}\"")));
            }
        })
    }
}

/// The last part of a path.
fn base(path: &str) -> &str {
    path.trim_end_matches('/').rsplit('/').next().unwrap_or(path)
}

/// One of some words, in any case.
fn choice(value: &str, options: &[&str], message: &str, span: Span) -> Result<String, Diagnostic> {
    let lower = value.to_lowercase();
    if options.contains(&lower.as_str()) {
        return Ok(lower);
    }
    let mut unknown = Diagnostic::new(span, format!("{message} \"{value}\""));
    unknown.hint = suggest::hint(value, options.iter().copied(), "");
    unknown.hint = unknown.hint.or_else(|| Some(format!("use one of {}", options.join(", "))));
    Err(unknown)
}

/// `512`, `64k`, `1.5GiB`: powers of 1024 (docker/go-units: `RAMInBytes`).
fn bytes(text: &str) -> Option<u64> {
    let digits = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let number: f64 = number.parse().ok()?;
    let unit = unit.strip_prefix(' ').unwrap_or(unit).to_ascii_lowercase();
    let unit = unit.strip_suffix('b').unwrap_or(&unit);
    let power = match unit.strip_suffix('i').unwrap_or(unit) {
        "" if !unit.is_empty() => return None,
        "" => 0,
        "k" => 1,
        "m" => 2,
        "g" => 3,
        "t" => 4,
        "p" => 5,
        _ => return None,
    };
    let size = number * 1024_f64.powi(power);
    // Sizes above 2^53 lose precision and are no use as a limit anyway.
    (size <= 9_007_199_254_740_992.0).then_some(size as u64)
}

#[cfg(test)]
mod tests {
    use super::bytes;

    #[test]
    fn sizes() {
        let rows: [(&str, Option<u64>); 12] = [
            ("0", Some(0)),
            ("32", Some(32)),
            ("32b", Some(32)),
            ("32B", Some(32)),
            ("32k", Some(32 << 10)),
            ("32Kb", Some(32 << 10)),
            ("1.5g", Some(3 << 29)),
            ("128m", Some(128 << 20)),
            ("2 GiB", Some(2 << 30)),
            ("2i", None),
            ("k", None),
            ("-1m", None),
        ];
        for (text, expected) in rows {
            assert_eq!(bytes(text), expected, "{text}");
        }
    }
}
