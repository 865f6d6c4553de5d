//! Work by several tools, turn by turn.

use std::io;

use crate::cases::{Tool, is_installed};
use crate::measure::{self, Cost, median};
use crate::traffic;

/// What the work cost a tool.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Measured {
    pub cost: Cost,
    /// Bytes that went to registries, if they were counted.
    pub sent: Option<u64>,
}

/// Tools that are installed do the work by turns, so that what else the machine does meets them alike: once uncounted, then `runs` times. One that
/// fails is told of and left out.
pub(crate) fn compare<Place>(
    place: &Place,
    tools: &[Tool<Place>],
    runs: usize,
    counts: bool,
) -> Vec<(&'static str, io::Result<Measured>)> {
    let mut all: Vec<_> =
        tools.iter().filter(|tool| is_installed(tool.program)).map(|tool| (tool, Ok(Vec::new()))).collect();
    for run in 0..=runs {
        for (tool, costs) in &mut all {
            let Ok(known) = costs else { continue };
            match work(place, tool, run) {
                Ok(cost) if run > 0 => known.push(cost),
                Ok(_) => {}
                Err(error) => *costs = Err(error),
            }
        }
    }
    let measured = all.into_iter().map(|(tool, costs)| {
        let measured = costs.and_then(|costs| {
            let sent = if counts { Some(sent(place, tool, runs)?) } else { None };
            Ok(Measured { cost: median(&costs), sent })
        });
        (tool.name, measured)
    });
    measured.collect()
}

/// All commands of a run.
fn work<Place>(place: &Place, tool: &Tool<Place>, run: usize) -> io::Result<Cost> {
    let mut total = Cost::default();
    for mut command in (tool.commands)(place, run) {
        let cost = measure::run(&mut command)?;
        total.wall += cost.wall;
        total.cpu += cost.cpu;
        total.memory = total.memory.max(cost.memory);
    }
    Ok(total)
}

/// What a run sends. By its gate a registry has another address, and so is another one to a tool: a run before makes it known.
fn sent<Place>(place: &Place, tool: &Tool<Place>, runs: usize) -> io::Result<u64> {
    traffic::counted(|| work(place, tool, runs + 1)).0?;
    let (done, sent) = traffic::counted(|| work(place, tool, runs + 2));
    done.map(|_| sent)
}
