//! Values of `--chmod`: octal, or symbolic as in chmod(1).

/// A change of a file's mode.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mode(Change);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Change {
    Absolute(u32),
    Symbolic(Vec<Step>),
}

/// `go=rX`: whose bits, how, and which.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Step {
    who: Who,
    operator: Operator,
    permissions: Permissions,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Who {
    user: bool,
    group: bool,
    other: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Operator {
    Add,
    Remove,
    Set,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Permissions {
    /// `rwx` as in one octal digit.
    bits: u32,
    /// `X`: execution of directories and of what someone can execute already.
    search: bool,
    /// `s`.
    set_id: bool,
    /// `t`.
    sticky: bool,
    /// `u`, `g`, `o`: what these classes have.
    copy_user: bool,
    copy_group: bool,
    copy_other: bool,
}

/// A text that is no mode.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "invalid chmod parameter: '{0}'. it should be octal string and between 0 and 07777, or symbolic like u=rwX,go=rX"
)]
pub struct InvalidMode(String);

const SET_USER_ID: u32 = 0o4000;
const SET_GROUP_ID: u32 = 0o2000;
const STICKY: u32 = 0o1000;

impl Mode {
    /// Reads an expanded value of `--chmod`.
    ///
    /// Octal values are those BuildKit takes: any number of digits, at most 0o7777. Symbolic ones are clauses `[ugoa...][+-=]...`
    /// separated by commas. Without `ugoa` all classes are meant; there is no umask.
    ///
    /// # Errors
    ///
    /// Other texts.
    pub fn parse(text: &str) -> Result<Self, InvalidMode> {
        let invalid = || InvalidMode(text.to_owned());
        if text.starts_with(|c: char| c.is_ascii_digit()) {
            let mode = u32::from_str_radix(text, 8).map_err(|_| invalid())?;
            return if mode <= 0o7777 { Ok(Self(Change::Absolute(mode))) } else { Err(invalid()) };
        }
        let mut steps = Vec::new();
        for clause in text.split(',') {
            steps.extend(parse_clause(clause).ok_or_else(invalid)?);
        }
        Ok(Self(Change::Symbolic(steps)))
    }

    /// The mode itself, if it is written as a number.
    pub fn number(&self) -> Option<u32> {
        match self.0 {
            Change::Absolute(mode) => Some(mode),
            Change::Symbolic(_) => None,
        }
    }

    /// The mode that a file of a mode gets. Only the lower twelve bits of `current` count.
    pub fn apply(&self, current: u32, is_directory: bool) -> u32 {
        let current = current & 0o7777;
        match &self.0 {
            Change::Absolute(mode) => *mode,
            Change::Symbolic(steps) => steps.iter().fold(current, |mode, step| step.apply(mode, current, is_directory)),
        }
    }
}

/// The steps of a clause: `u=rw+x` has two.
fn parse_clause(clause: &str) -> Option<Vec<Step>> {
    let start = clause.find(['+', '-', '='])?;
    let who = parse_who(&clause[..start])?;
    let mut steps = Vec::new();
    let mut rest = &clause[start..];
    while let Some(sign) = rest.chars().next() {
        let operator = match sign {
            '+' => Operator::Add,
            '-' => Operator::Remove,
            _ => Operator::Set,
        };
        let end = rest[1..].find(['+', '-', '=']).map_or(rest.len(), |end| end + 1);
        steps.push(Step { who, operator, permissions: parse_permissions(&rest[1..end])? });
        rest = &rest[end..];
    }
    Some(steps)
}

fn parse_who(text: &str) -> Option<Who> {
    let mut who = Who::default();
    for class in text.chars() {
        match class {
            'u' => who.user = true,
            'g' => who.group = true,
            'o' => who.other = true,
            'a' => who = Who { user: true, group: true, other: true },
            _ => return None,
        }
    }
    Some(if text.is_empty() { Who { user: true, group: true, other: true } } else { who })
}

fn parse_permissions(text: &str) -> Option<Permissions> {
    let mut permissions = Permissions::default();
    for letter in text.chars() {
        match letter {
            'r' => permissions.bits |= 4,
            'w' => permissions.bits |= 2,
            'x' => permissions.bits |= 1,
            'X' => permissions.search = true,
            's' => permissions.set_id = true,
            't' => permissions.sticky = true,
            'u' => permissions.copy_user = true,
            'g' => permissions.copy_group = true,
            'o' => permissions.copy_other = true,
            _ => return None,
        }
    }
    Some(permissions)
}

impl Step {
    /// `original` is the mode before the first step: `X` looks at it.
    fn apply(&self, mode: u32, original: u32, is_directory: bool) -> u32 {
        let bits = self.bits(mode, original, is_directory);
        match self.operator {
            Operator::Add => mode | bits,
            Operator::Remove => mode & !bits,
            Operator::Set => (mode & !self.mask()) | bits,
        }
    }

    /// The bits that the step names.
    fn bits(&self, mode: u32, original: u32, is_directory: bool) -> u32 {
        let given = &self.permissions;
        let mut digit = given.bits;
        if given.search && (is_directory || original & 0o111 != 0) {
            digit |= 1;
        }
        for (copied, shift) in [(given.copy_user, 6), (given.copy_group, 3), (given.copy_other, 0)] {
            digit |= if copied { (mode >> shift) & 7 } else { 0 };
        }
        let Who { user, group, other } = self.who;
        let mut bits = 0;
        for (class, shift) in [(user, 6), (group, 3), (other, 0)] {
            bits |= if class { digit << shift } else { 0 };
        }
        bits |= if given.set_id && user { SET_USER_ID } else { 0 };
        bits |= if given.set_id && group { SET_GROUP_ID } else { 0 };
        // As in chmod(1), `o+t` has no effect.
        bits | if given.sticky && (user || group) { STICKY } else { 0 }
    }

    /// The bits that `=` clears: the sticky bit never, the set-ID bits unless permissions of a class are copied (BSD setmode,
    /// which BuildKit has).
    fn mask(&self) -> u32 {
        let Who { user, group, other } = self.who;
        let given = &self.permissions;
        let set_ids = !(given.copy_user || given.copy_group || given.copy_other);
        let mut mask = 0;
        mask |= if user { 0o700 } else { 0 };
        mask |= if group { 0o070 } else { 0 };
        mask |= if other { 0o007 } else { 0 };
        mask |= if user && set_ids { SET_USER_ID } else { 0 };
        mask | if group && set_ids { SET_GROUP_ID } else { 0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn row_100_modes() {
        let rows: &[(&str, u32, bool, u32)] = &[
            ("644", 0o777, false, 0o644),
            ("0755", 0, true, 0o755),
            ("4755", 0, false, 0o4755),
            ("7777", 0, false, 0o7777),
            ("0", 0o777, false, 0),
            ("u=rwX,go=rX", 0o600, false, 0o644),
            ("u=rwX,go=rX", 0o700, false, 0o755),
            ("u=rwX,go=rX", 0o700, true, 0o755),
            ("u=rwX,go=rX", 0o000, true, 0o755),
            ("g=u", 0o640, false, 0o660),
            ("go=u-w", 0o750, false, 0o755),
            ("a-w", 0o777, false, 0o555),
            ("+x", 0o644, false, 0o755),
            ("a+x", 0o644, false, 0o755),
            ("-x", 0o755, false, 0o644),
            ("u+s", 0o755, false, 0o4755),
            ("g+s", 0o755, true, 0o2755),
            ("+s", 0o755, false, 0o6755),
            ("o+s", 0o755, false, 0o755),
            ("+t", 0o777, true, 0o1777),
            ("o+t", 0o777, true, 0o777),
            ("u=rw+x-w", 0, false, 0o500),
            ("go=", 0o777, false, 0o700),
            ("=", 0o777, false, 0),
            ("a=rx", 0o200, false, 0o555),
            ("ug=rw,o=r", 0o777, false, 0o664),
            ("u=r", 0o6777, false, 0o2477),
            ("a=rx", 0o7777, true, 0o1555),
            ("g=u", 0o2750, true, 0o2770),
            ("a-x,+X", 0o744, false, 0o755),
            ("+X", 0o644, false, 0o644),
            ("o=g", 0o640, false, 0o644),
            ("u+rwx", 0o100644, false, 0o744),
        ];
        for (text, current, directory, expected) in rows {
            let mode = Mode::parse(text).unwrap();
            assert_eq!(mode.apply(*current, *directory), *expected, "{text} on {current:o}");
        }
    }

    #[test]
    fn row_100_invalid_modes() {
        for text in
            ["", "64a", "888", "10000", "u", "x", "u=rwz", "u=rw,", ",u=r", "k=r", "u rw", "-1 ", "0o644", "+x,644"]
        {
            assert!(Mode::parse(text).is_err(), "{text}");
        }
        let message = Mode::parse("64a").unwrap_err().to_string();
        assert!(
            message.starts_with("invalid chmod parameter: '64a'. it should be octal string and between 0 and 07777")
        );
    }

    proptest! {
        #[test]
        fn never_panics(text in "[ugoa+=,rwxXst0-9\\PC-]{0,12}", current: u32, directory: bool) {
            if let Ok(mode) = Mode::parse(&text) {
                prop_assert!(mode.apply(current, directory) <= 0o7777);
            }
        }

        #[test]
        fn octal_is_itself(mode in 0_u32..=0o7777, current in 0_u32..=0o7777) {
            prop_assert_eq!(Mode::parse(&format!("{mode:03o}")).unwrap().apply(current, false), mode);
        }

        #[test]
        fn adding_twice_is_adding_once(text in "[ugoa]{0,2}[+-][rwxst]{0,3}", current in 0_u32..=0o7777) {
            let mode = Mode::parse(&text).unwrap();
            let once = mode.apply(current, false);
            prop_assert_eq!(mode.apply(once, false), once);
        }
    }
}
