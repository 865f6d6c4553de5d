//! `cargo xtask bench [CASE...]`: the same work by steprun and by the tools that are installed, turn by turn in one run, as ratios.
//!
//! Machines are shared and noisy: read the ratios, not the figures. Tools are taken from PATH; where one is missing its line is left out. skopeo
//! remembers between runs which repositories of a registry have a blob, so its copies between registries are mounts. What bytes are sent is
//! counted in a run that is not timed.

mod cases;
mod compare;
mod measure;
mod report;
mod traffic;
mod workset;

use std::process::ExitCode;

use compare::{Measured, compare};
use report::Row;

fn main() -> ExitCode {
    let names: Vec<String> = std::env::args().skip(1).collect();
    let mut cases = cases::all();
    let known: Vec<&str> = cases.iter().map(|case| case.name).collect();
    if let Some(unknown) = names.iter().find(|name| !known.contains(&name.as_str())) {
        eprintln!("error: there is no case `{unknown}`; there are: {}", known.join(", "));
        return ExitCode::FAILURE;
    }
    cases.retain(|case| names.is_empty() || names.iter().any(|name| name == case.name));
    let mut bench = Bench::default();
    bench.compare(&cases);
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
                self.add(case.name, tool, measured);
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

    fn add(&mut self, case: &str, tool: &str, measured: std::io::Result<Measured>) {
        match measured {
            Ok(measured) => self.rows.push(Row::new(case, tool, measured)),
            Err(error) => {
                eprintln!("{case}: {tool}: {error}");
                self.failed = true;
            }
        }
    }
}
