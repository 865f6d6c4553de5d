//! `cargo xtask bench [CASE...]`: the same work by steprun and by the tools that are installed, turn by turn in one run, as ratios.
//!
//! Machines are shared and noisy: read the ratios, not the figures. crane and skopeo are taken from PATH; where one is missing its
//! line is left out. skopeo remembers between runs which repositories of a registry have a blob, so its copies between registries are mounts.

mod cases;
mod measure;
mod workset;

use std::process::{Command, ExitCode};

use cases::Case;
use measure::{Cost, median};

fn main() -> ExitCode {
    let wanted: Vec<String> = std::env::args().skip(1).collect();
    println!("| case | tool | wall s | CPU s | MiB | wall / steprun | CPU / steprun |");
    println!("|---|---|---|---|---|---|---|");
    let site = cases::Site::new();
    for case in cases::all() {
        if wanted.is_empty() || wanted.iter().any(|name| name == case.name) {
            compare(&site, &case);
        }
    }
    ExitCode::SUCCESS
}

/// One case by all tools, turn by turn.
fn compare(site: &cases::Site, case: &Case) {
    let tools: Vec<_> = case.tools.iter().filter(|tool| cases::is_installed(tool.program)).collect();
    let mut costs: Vec<Vec<Cost>> = vec![Vec::new(); tools.len()];
    for run in 0..=case.runs {
        for (tool, costs) in tools.iter().zip(&mut costs) {
            let commands: Vec<Command> = (tool.commands)(site, run);
            let mut total = Cost::default();
            for mut command in commands {
                match measure::run(&mut command) {
                    Ok(cost) => {
                        total.wall += cost.wall;
                        total.cpu += cost.cpu;
                        total.memory = total.memory.max(cost.memory);
                    }
                    Err(error) => {
                        eprintln!("{}: {}: {error}", case.name, tool.name);
                        return;
                    }
                }
            }
            if run > 0 {
                costs.push(total);
            }
        }
    }
    let medians: Vec<Cost> = costs.iter().map(|costs| median(costs)).collect();
    let Some(own) = medians.first().copied() else { return };
    for (tool, cost) in tools.iter().zip(&medians) {
        println!(
            "| {} | {} | {:.3} | {:.3} | {:.0} | {:.2} | {:.2} |",
            case.name,
            tool.name,
            cost.wall,
            cost.cpu,
            cost.memory,
            cost.wall / own.wall,
            cost.cpu / own.cpu
        );
    }
}
