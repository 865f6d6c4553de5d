//! Why an instruction is not in the cache.

use std::collections::{BTreeMap, BTreeSet};

use super::Inputs;

/// How many changes are named.
const SHOWN: usize = 3;

/// What differs between the inputs of the last run of an instruction and those of this one, for people. Values are not shown: they may be those of
/// build arguments.
pub(super) fn why(before: Option<&Inputs>, now: &Inputs) -> String {
    let Some(before) = before else { return "no earlier build of it is known here".to_owned() };
    if before == now {
        return "its result is no longer in the cache".to_owned();
    }
    let (before, now) = (by_name(before), by_name(now));
    let names: BTreeSet<&str> = before.keys().chain(now.keys()).copied().filter(|name| *name != "base").collect();
    let mut changes: Vec<String> = names
        .into_iter()
        .filter_map(|name| match (before.get(name), now.get(name)) {
            (Some(old), Some(new)) if old == new => None,
            (Some(_), Some(_)) => Some(format!("{name} has changed")),
            (Some(_), None) => Some(format!("{name} is gone")),
            (None, _) => Some(format!("{name} is new")),
        })
        .collect();
    if before.get("base") != now.get("base") {
        changes.push("what is before it has changed".to_owned());
    }
    match changes.len() {
        0 => "the order of its inputs has changed".to_owned(),
        count if count > SHOWN => format!("{}, and {} more", changes[..SHOWN].join(", "), count - SHOWN),
        _ => changes.join(", "),
    }
}

/// Several inputs may have one name.
fn by_name(inputs: &Inputs) -> BTreeMap<&str, Vec<&str>> {
    let mut all: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for (name, value) in inputs.iter() {
        all.entry(name).or_default().push(value);
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    fn inputs(pairs: &[(&str, &str)]) -> Inputs {
        let mut inputs = Inputs::new("COPY");
        pairs.iter().for_each(|(name, value)| inputs.add(*name, *value));
        inputs
    }

    #[test]
    fn what_changed_is_named() {
        let now = inputs(&[("base", "1"), ("file a", "x"), ("file b", "y")]);
        for (before, words) in [
            (None, "no earlier build"),
            (Some(now.clone()), "no longer in the cache"),
            (Some(inputs(&[("base", "0"), ("file a", "x"), ("file b", "y")])), "what is before it has changed"),
            (Some(inputs(&[("base", "1"), ("file a", "z"), ("file b", "y")])), "file a has changed"),
            (Some(inputs(&[("base", "1"), ("file b", "y")])), "file a is new"),
            (Some(inputs(&[("base", "1"), ("file a", "x"), ("file b", "y"), ("file c", "")])), "file c is gone"),
            (Some(inputs(&[("base", "1"), ("file b", "y"), ("file a", "x")])), "the order"),
            (Some(inputs(&[("base", "0"), ("1", ""), ("2", "")])), "1 is gone, 2 is gone, file a is new, and 2 more"),
        ] {
            let why = why(before.as_ref(), &now);
            assert!(why.contains(words), "{why}");
        }
    }
}
