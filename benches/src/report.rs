//! What was measured, as lines of a table and of a file that keeps it.

use std::path::Path;
use std::{fs, io};

use crate::compare::Measured;
use crate::measure::Cost;

/// What a piece of work cost a tool.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Row {
    pub case: String,
    pub tool: String,
    /// Of work that grows: how much it was.
    pub size: Option<u64>,
    pub cost: Cost,
    /// Bytes that went to registries, if they were counted.
    pub sent: Option<u64>,
}

/// The head of a table of tools.
pub(crate) const TOOLS: &str = "| case | tool | wall s | CPU s | MiB | sent | wall | CPU | memory | sent |\n\
                                |---|---|--:|--:|--:|--:|--:|--:|--:|--:|\n";

/// The head of a table of growth.
pub(crate) const GROWTH: &str = "| case | build | size | wall s | CPU s | MiB | wall for each | exponent |\n\
                                 |---|---|--:|--:|--:|--:|--:|--:|\n";

const FILE: &str = "case\ttool\tsize\twall s\tCPU s\tMiB\tbytes sent\n";

impl Row {
    pub(crate) fn new(case: &str, tool: &str, size: Option<u64>, Measured { cost, sent }: Measured) -> Self {
        Self { case: case.to_owned(), tool: tool.to_owned(), size, cost, sent }
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
        let Self { case, tool, cost: Cost { wall, cpu, memory }, sent, .. } = self;
        let sent = sent.map_or_else(|| "–".to_owned(), bytes);
        let ratios = self.ratios(own).map(|ratio| ratio.map_or_else(|| "–".to_owned(), |ratio| format!("{ratio:.2}×")));
        format!("| {case} | {tool} | {wall:.3} | {cpu:.3} | {memory:.0} | {sent} | {} |\n", ratios.join(" | "))
    }

    /// As a line of the table of growth, behind the line of the next smaller size.
    pub(crate) fn grown(&self, unit: &str, smaller: Option<&Self>) -> String {
        let Self { case, tool, size, cost: Cost { wall, cpu, memory }, .. } = self;
        let size = size.unwrap_or(1);
        let each = seconds(wall / size as f64);
        let exponent = smaller.and_then(|smaller| self.exponent(smaller));
        let exponent = exponent.map_or_else(|| "–".to_owned(), |exponent| format!("{exponent:.2}"));
        format!("| {case} | {tool} | {size} {unit} | {wall:.3} | {cpu:.3} | {memory:.0} | {each} | {exponent} |\n")
    }

    /// How the time grows from a smaller size to this one: 1 is with the size, 2 with its square.
    pub(crate) fn exponent(&self, smaller: &Self) -> Option<f64> {
        let (this, other) = (self.size? as f64, smaller.size? as f64);
        Some((self.cost.wall / smaller.cost.wall).ln() / (this / other).ln())
    }

    fn write(&self) -> String {
        let Self { case, tool, cost: Cost { wall, cpu, memory }, .. } = self;
        let number = |number: Option<u64>| number.map(|number| number.to_string()).unwrap_or_default();
        let (size, sent) = (number(self.size), number(self.sent));
        format!("{case}\t{tool}\t{size}\t{wall:.4}\t{cpu:.4}\t{memory:.1}\t{sent}\n")
    }

    fn read(line: &str) -> Option<Self> {
        let [case, tool, size, wall, cpu, memory, sent] = line.split('\t').collect::<Vec<_>>().try_into().ok()?;
        let cost = Cost { wall: wall.parse().ok()?, cpu: cpu.parse().ok()?, memory: memory.parse().ok()? };
        let number = |text: &str| text.parse().ok();
        Some(Self { case: case.to_owned(), tool: tool.to_owned(), size: number(size), cost, sent: number(sent) })
    }
}

/// Reads what was kept; nothing if there is no such file.
fn read(file: &Path) -> Vec<Row> {
    fs::read_to_string(file).unwrap_or_default().lines().skip(1).filter_map(Row::read).collect()
}

/// Keeps rows, in the order of `cases`. Of cases that were measured again the earlier rows go, and of cases that are no more all.
pub(crate) fn keep(file: &Path, measured: &[Row], cases: &[&str]) -> io::Result<Vec<Row>> {
    let place = |row: &Row| cases.iter().position(|case| *case == row.case);
    let mut rows = read(file);
    rows.retain(|row| measured.iter().all(|new| new.case != row.case));
    rows.extend_from_slice(measured);
    rows.retain(|row| place(row).is_some());
    rows.sort_by_key(place);
    let text: String = rows.iter().map(Row::write).collect();
    fs::write(file, format!("{FILE}{text}"))?;
    Ok(rows)
}

/// Rows by case, as they came.
pub(crate) fn by_case(rows: &[Row]) -> impl Iterator<Item = &[Row]> {
    rows.chunk_by(|one, other| one.case == other.case)
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

/// Seconds as people read them.
fn seconds(count: f64) -> String {
    match count {
        count if count >= 1.0 => format!("{count:.2} s"),
        count if count >= 1e-3 => format!("{:.1} ms", count * 1e3),
        count => format!("{:.0} µs", count * 1e6),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(size: u64, wall: f64) -> Row {
        let cost = Cost { wall, cpu: 0.5, memory: 12.0 };
        Row { case: "c".to_owned(), tool: "t".to_owned(), size: Some(size), cost, sent: None }
    }

    #[test]
    fn what_was_written_is_read() {
        for row in [row(7, 0.25), Row { size: None, sent: Some(3), ..row(0, 1.0) }] {
            assert_eq!(Row::read(row.write().trim_end_matches('\n')), Some(row));
        }
        assert_eq!(Row::read("c\tt"), None);
    }

    #[test]
    fn cases_that_are_measured_again_replace_their_rows() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("rows");
        let of = |case: &str| Row { case: case.to_owned(), ..row(1, 1.0) };
        keep(&file, &[row(1, 1.0), row(10, 2.0), of("later"), of("gone")], &["c", "later", "gone"]).unwrap();
        assert_eq!(keep(&file, &[row(1, 3.0)], &["c", "later"]).unwrap(), [row(1, 3.0), of("later")]);
        assert_eq!(read(&file).len(), 2);
    }

    #[test]
    fn exponents_tell_growth() {
        assert_eq!(row(100, 40.0).exponent(&row(10, 4.0)).map(f64::round), Some(1.0));
        assert_eq!(row(100, 400.0).exponent(&row(10, 4.0)).map(f64::round), Some(2.0));
        assert!(row(100, 4.0).exponent(&row(10, 4.0)).unwrap().abs() < 1e-9);
    }

    #[test]
    fn seconds_have_units() {
        for (count, text) in [(2.0, "2.00 s"), (0.0127, "12.7 ms"), (0.000_041, "41 µs")] {
            assert_eq!(seconds(count), text);
        }
    }

    #[test]
    fn bytes_have_units() {
        let cases = [(999, "999 B"), (20_500, "20.5 kB"), (1_000_000, "1.0 MB"), (8_000_000_000, "8.0 GB")];
        for (count, text) in cases {
            assert_eq!(bytes(count), text);
        }
    }
}
