//! `cargo xtask bench [--chart] [CASE...|all]`: the same work by steprun and by the tools that are installed, turn by turn in one run, as ratios.
//!
//! Machines are shared and noisy: read the ratios, not the figures. Tools are taken from PATH; where one is missing its line is left out. skopeo
//! remembers between runs which repositories of a registry have a blob, so its copies between registries are mounts. What bytes are sent is
//! counted in a run that is not timed. Cases of growth take long; they are done if they are named, or with `all`.
//!
//! With `--chart` the results go into `docs/bench/`, beside those of cases that were measured before, and charts and `docs/benchmarks.md` are
//! made from all of them.

mod cases;
mod chart;
mod compare;
mod machine;
mod measure;
mod page;
mod report;
mod traffic;
mod workset;

use std::process::ExitCode;

use cases::growth::{self, Growth};
use compare::{Measured, compare};
use report::Row;

fn main() -> ExitCode {
    let (options, names): (Vec<String>, Vec<String>) = std::env::args().skip(1).partition(|word| word == "--chart");
    let (mut cases, mut growing) = (cases::all(), growth::all());
    let known: Vec<&str> = cases.iter().map(|case| case.name).chain(growing.iter().map(|growth| growth.name)).collect();
    if let Some(unknown) = names.iter().find(|name| *name != "all" && !known.contains(&name.as_str())) {
        eprintln!("error: there is no case `{unknown}`; there are: {}, all", known.join(", "));
        return ExitCode::FAILURE;
    }
    let everything = names.iter().any(|name| name == "all");
    let named = |case: &str| everything || names.iter().any(|name| name == case);
    cases.retain(|case| names.is_empty() || named(case.name));
    growing.retain(|growth| named(growth.name));
    let mut bench = Bench::default();
    bench.compare(&cases);
    bench.grow(&growing);
    if !options.is_empty()
        && let Err(error) = page::write(&bench.rows, &known)
    {
        eprintln!("error: the charts can't be written: {error}");
        bench.failed = true;
    }
    if bench.failed { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

/// What was measured up to now.
#[derive(Default)]
struct Bench {
    rows: Vec<Row>,
    failed: bool,
}

impl Bench {
    /// Cases by all tools, each a line as soon as its case is done.
    fn compare(&mut self, cases: &[cases::Case]) {
        if cases.is_empty() {
            return;
        }
        print!("{}", report::TOOLS);
        let site = cases::Site::new();
        for case in cases {
            let first = self.rows.len();
            for (tool, measured) in compare(&site, &case.tools, case.runs, case.counts) {
                self.add(case.name, tool, None, measured);
            }
            if self.rows.get(first).is_none_or(|row| row.tool != case.tools[0].name) {
                // Without our own there is nothing to compare with.
                self.rows.truncate(first);
            }
            for row in &self.rows[first..] {
                print!("{}", row.compared(&self.rows[first]));
            }
        }
    }

    /// Cases at all sizes.
    fn grow(&mut self, growing: &[Growth]) {
        if growing.is_empty() {
            return;
        }
        print!("{}", report::GROWTH);
        for case in growing {
            for &size in case.sizes {
                let scene = case.scene(size);
                for (tool, measured) in compare(&scene, &(case.tools)(), growth::RUNS, false) {
                    if self.add(case.name, tool, Some(size), measured) {
                        self.show_growth(case, tool);
                    }
                }
            }
        }
    }

    /// The last measurement of a tool, beside the one before it.
    fn show_growth(&self, case: &Growth, tool: &str) {
        let mut sizes = self.rows.iter().rev().filter(|row| row.case.starts_with(case.series) && row.tool == tool);
        if let Some(last) = sizes.next() {
            print!("{}", last.grown(case.unit, sizes.next()));
        }
    }

    /// Keeps what was measured, or tells why nothing was.
    fn add(&mut self, case: &str, tool: &str, size: Option<u64>, measured: std::io::Result<Measured>) -> bool {
        match measured {
            Ok(measured) => self.rows.push(Row::new(case, tool, size, measured)),
            Err(ref error) => {
                eprintln!("{case}: {tool}: {error}");
                self.failed = true;
            }
        }
        measured.is_ok()
    }
}
