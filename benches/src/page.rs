//! `docs/benchmarks.md` and its charts, from all results that are kept.

use std::path::Path;
use std::{fs, io};

use steprun_tests::workspace;

use crate::cases::growth::{self, Growth};
use crate::report::{self, Row, by_case};
use crate::{chart, machine};

const HEAD: &str = "\
# Benchmarks

Written by `cargo xtask bench --chart`. The same work is done by steprun and by the tools that it replaces, turn by turn in one run; figures are
medians, ratios are multiples of what steprun takes. Machines differ and are noisy: read the ratios. Wall and CPU time are those of all commands,
memory is the largest process. Bytes sent are all requests to the registry, which is `docker-registry` on loopback, counted by a forwarder in a run
that is not timed. A daemon's time and memory do not show.

```sh
cargo xtask bench                        # prints the tables of all tools in PATH
cargo xtask bench w2-cold w2-again       # of some cases
cargo xtask bench --chart all            # with growth, and writes this page; it takes long, and 25 GB below TMPDIR
cargo bench -p steprun-snapshot -p steprun-build    # parts by themselves: digests, tar, deflate, keys
```

Measured on: ";

/// A part of the page about tools, with what its cases' names begin with.
struct Part {
    file: &'static str,
    title: &'static str,
    prefixes: &'static [&'static str],
    text: &'static str,
}

const PARTS: [Part; 3] = [
    Part {
        file: "builds",
        title: "Builds without RUN",
        prefixes: &["w1-", "w2-"],
        text: "W1 is a program of 20 MB on Debian, with ENV, LABEL, WORKDIR, EXPOSE, USER and CMD; W2 are 20,000 small files that are kept and 2,600 \
               that `.dockerignore` leaves out. All images are pushed. `cold`: nothing is there but the context. `anew`: the base is known, no result is \
               taken. `again`: nothing has changed. `one-changed`: one file has. `new-runner`: an empty store, and a cache in the registry. tar + crane \
               is the least that such an image can cost without unpacking its base; it looks at no Dockerfile, ignore file or cache.",
    },
    Part {
        file: "commands",
        title: "RUN",
        prefixes: &["run-"],
        text: "The same command on each rung of the sandbox, and in a plain chroot on an overlay that keeps nothing: as it is, and with a tar of the \
               changes and its digest, since a build has to make these. `run-install-image` packs and pushes what apt installed, too.",
    },
    Part {
        file: "promotion",
        title: "Promotion",
        prefixes: &["start", "copy-", "tag", "flatten-", "export-"],
        text: "Images of 30 MiB and of 1 GiB in four layers. skopeo remembers what it has pushed to a registry, and mounts it in the next repository \
               instead of copying it; the others copy.",
    },
];

/// Keeps results beside earlier ones, and writes page and charts from all of them. `cases` are the names of all cases in their order.
pub(crate) fn write(measured: &[Row], cases: &[&str]) -> io::Result<()> {
    let docs = workspace().join("docs");
    let charts = docs.join("bench");
    fs::create_dir_all(&charts)?;
    let rows = report::keep(&charts.join("results.tsv"), measured, cases)?;
    let mut text = format!("{HEAD}{}\n", machine::description());
    for part in &PARTS {
        text += &part.write(&rows, &charts)?;
    }
    for series in growth::all().iter().filter(|growth| growth.name == growth.series) {
        text += &growth_part(series, &rows, &charts)?;
    }
    fs::write(docs.join("benchmarks.md"), text)
}

impl Part {
    fn write(&self, rows: &[Row], charts: &Path) -> io::Result<String> {
        let Self { file, title, prefixes, text } = self;
        let rows: Vec<Row> = rows.iter().filter(|row| has_prefix(row, prefixes)).cloned().collect();
        if rows.is_empty() {
            return Ok(String::new());
        }
        fs::write(charts.join(format!("{file}.svg")), chart::bars(title, &rows))?;
        let lines: String = by_case(&rows).flat_map(|case| case.iter().map(|row| row.compared(&case[0]))).collect();
        Ok(format!(
            "\n## {title}\n\n{text}\n\n![Ratios to steprun: {title}](bench/{file}.svg)\n\n{}{lines}",
            report::TOOLS
        ))
    }
}

fn has_prefix(row: &Row, prefixes: &[&str]) -> bool {
    prefixes.iter().any(|prefix| row.case.starts_with(prefix))
}

/// A chart and a table of what grows.
fn growth_part(series: &Growth, rows: &[Row], charts: &Path) -> io::Result<String> {
    let Growth { name, unit, .. } = series;
    let cases: Vec<&str> =
        growth::all().into_iter().filter(|growth| growth.series == *name).map(|growth| growth.name).collect();
    let mut rows: Vec<Row> = rows.iter().filter(|row| cases.contains(&row.case.as_str())).cloned().collect();
    if rows.is_empty() {
        return Ok(String::new());
    }
    rows.sort_by(|one, other| (&one.tool, one.size).cmp(&(&other.tool, other.size)));
    fs::write(charts.join(format!("{name}.svg")), chart::lines(name, unit, &rows))?;
    let smaller = |number: usize| {
        let before = rows.get(number.checked_sub(1)?)?;
        (before.tool == rows[number].tool).then_some(before)
    };
    let lines: String = rows.iter().enumerate().map(|(number, row)| row.grown(unit, smaller(number))).collect();
    let exponents = rows.iter().enumerate().filter_map(|(number, row)| row.exponent(smaller(number)?));
    let steepest = exponents.fold(0.0, f64::max);
    Ok(format!(
        "\n## Growth: {unit}\n\n![Seconds over {unit}](bench/{name}.svg)\n\n{}{lines}\n\
         The exponent is the slope between neighbours in the chart: 1 is linear. The steepest is {steepest:.2}.\n",
        report::GROWTH
    ))
}
