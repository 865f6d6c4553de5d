//! The corpus, built by steprun and by buildah: trees, configs and histories are the same, but for the list of known differences.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::time::{SystemTime, UNIX_EPOCH};

use steprun_tests::Registry;
use steprun_tests::differential::{Buildah, Built, Case, Difference, Known, Steprun, compare, push_bases};

/// Cases that are built side by side.
const WORKERS: usize = 2;

#[test]
fn images_are_those_of_buildah() {
    // One time for all cases: a layer of an earlier one may serve a later one.
    let started = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs().cast_signed();
    let registry = Registry::plain();
    push_bases(&registry);
    let cases = chosen();
    assert!(!cases.is_empty(), "no case has this name");
    let pending = Mutex::new(cases.iter());
    let found = Mutex::new(BTreeMap::new());
    std::thread::scope(|scope| {
        for _ in 0..WORKERS {
            scope.spawn(|| {
                let (steprun, buildah) = (Steprun::default(), Buildah::new());
                while let Some(case) = { pending.lock().unwrap().next() } {
                    let differences = differences(case, started, &registry, &steprun, &buildah);
                    found.lock().unwrap().insert(case.name.as_str(), differences);
                }
            });
        }
    });
    let found = found.into_inner().unwrap();
    assert_eq!(found.len(), cases.len());
    judge(&found);
}

/// All cases, or with `STEPRUN_CASE` those whose names begin so.
fn chosen() -> Vec<Case> {
    let prefix = std::env::var("STEPRUN_CASE").unwrap_or_default();
    Case::all().into_iter().filter(|case| case.name.starts_with(&prefix)).collect()
}

fn differences(
    case: &Case,
    started: i64,
    registry: &Registry,
    steprun: &Steprun,
    buildah: &Buildah,
) -> Vec<Difference> {
    let scene = case.prepare(registry.address());
    match (steprun.build(&scene), buildah.build(&scene)) {
        (Ok(steprun), Ok(buildah)) if case.fails.is_none() => {
            compare(&steprun, &buildah, started, case.has_one_dockerfile())
        }
        (Err(said), Err(_)) if case.fails.as_ref().is_some_and(|text| said.contains(text)) => Vec::new(),
        (steprun, buildah) => {
            vec![Difference { what: "build".to_owned(), steprun: end(steprun), buildah: end(buildah) }]
        }
    }
}

/// How a build ended, in a line.
fn end(built: Built) -> String {
    match built {
        Ok(_) => "builds".to_owned(),
        Err(said) => format!("fails: {}", said.replace(['\n', '\t'], " ")),
    }
}

fn judge(found: &BTreeMap<&str, Vec<Difference>>) {
    let mut known = Known::read();
    let mut unlisted = Vec::new();
    for (case, differences) in found {
        unlisted
            .extend(differences.iter().filter(|found| !known.has(case, found)).map(|found| format!("{case}\t{found}")));
    }
    let unused = if std::env::var_os("STEPRUN_CASE").is_some() { Vec::new() } else { known.unused() };
    assert!(
        unlisted.is_empty() && unused.is_empty(),
        "with {}\nnot listed in tests/corpus/differences.tsv (case, what, steprun, buildah):\n{}\n\nlines of it that no longer occur: {unused:?}",
        Buildah::version(),
        unlisted.join("\n")
    );
}

#[test]
fn cases_name_rows() {
    let cases = Case::all();
    assert!(cases.len() >= 60, "{}", cases.len());
    for Case { name, rows, .. } in cases {
        assert!(!rows.is_empty() && rows.iter().all(|row| (1..=150).contains(row)), "{name}: {rows:?}");
    }
}
