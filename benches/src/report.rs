//! What was measured, as lines of a table.

use crate::compare::Measured;
use crate::measure::Cost;

/// What a piece of work cost a tool.
#[derive(Debug)]
pub(crate) struct Row {
    pub case: String,
    pub tool: String,
    pub cost: Cost,
    /// Bytes that went to registries, if they were counted.
    pub sent: Option<u64>,
}

/// The head of a table of tools.
pub(crate) const TOOLS: &str = "| case | tool | wall s | CPU s | MiB | sent | wall | CPU | memory | sent |\n\
                                |---|---|--:|--:|--:|--:|--:|--:|--:|--:|\n";

impl Row {
    pub(crate) fn new(case: &str, tool: &str, Measured { cost, sent }: Measured) -> Self {
        Self { case: case.to_owned(), tool: tool.to_owned(), cost, sent }
    }

    /// What it cost as multiples of what another cost: time, CPU, memory, bytes sent.
    pub(crate) fn ratios(&self, own: &Self) -> [Option<f64>; 4] {
        let ratio = |this: f64, own: f64| (own > 0.0).then(|| this / own);
        let sent = self.sent.zip(own.sent).and_then(|(this, own)| ratio(this as f64, own as f64));
        let (this, own) = (&self.cost, &own.cost);
        [ratio(this.wall, own.wall), ratio(this.cpu, own.cpu), ratio(this.memory, own.memory), sent]
    }

    /// As a line of the table of tools; ratios are those to the first tool of a case.
    pub(crate) fn compared(&self, own: &Self) -> String {
        let Self { case, tool, cost: Cost { wall, cpu, memory }, sent } = self;
        let sent = sent.map_or_else(|| "–".to_owned(), bytes);
        let ratios = self.ratios(own).map(|ratio| ratio.map_or_else(|| "–".to_owned(), |ratio| format!("{ratio:.2}×")));
        format!("| {case} | {tool} | {wall:.3} | {cpu:.3} | {memory:.0} | {sent} | {} |\n", ratios.join(" | "))
    }
}

/// Bytes as people read them.
fn bytes(count: u64) -> String {
    let units = [(1e9, "GB"), (1e6, "MB"), (1e3, "kB")];
    let count = count as f64;
    match units.into_iter().find(|(unit, _)| count >= *unit) {
        Some((unit, name)) => format!("{:.1} {name}", count / unit),
        None => format!("{count} B"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_have_units() {
        let cases = [(999, "999 B"), (20_500, "20.5 kB"), (1_000_000, "1.0 MB"), (8_000_000_000, "8.0 GB")];
        for (count, text) in cases {
            assert_eq!(bytes(count), text);
        }
    }
}
