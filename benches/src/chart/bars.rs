//! Bars of ratios: what others cost as multiples of what steprun costs.

use super::{Anchor, Axis, Svg, short};
use crate::report::{Row, by_case};

const NAMES: [&str; 4] = ["wall time", "CPU time", "memory", "bytes sent"];
/// Where the columns begin, and how wide they are with the space for numbers behind.
const LEFT: f64 = 215.0;
const COLUMN: f64 = 185.0;
const NUMBERS: f64 = 45.0;
const LINE: f64 = 17.0;
const HEAD: f64 = 42.0;
/// What is less or more is drawn as these; its number tells.
const SHOWN: (f64, f64) = (0.01, 1000.0);

/// A column of bars for each figure, a line for each tool; one is steprun. A case begins with its own.
pub(crate) fn bars(title: &str, rows: &[Row]) -> String {
    let lines: f64 = by_case(rows).map(|case| case.len() as f64).sum();
    let height = HEAD + lines * LINE + LINE;
    let mut svg = Svg::new(LEFT + 4.0 * COLUMN, height);
    let ratios = by_case(rows).flat_map(|case| case.iter().map(|row| row.ratios(&case[0])));
    let all: Vec<f64> = ratios.flatten().flatten().map(shown).chain([1.0]).collect();
    let columns: Vec<Axis> = (0..NAMES.len()).map(|number| column(number, &all)).collect();
    for (axis, name) in columns.iter().zip(NAMES) {
        svg.text((axis.places.0, 14.0), Anchor::Start, "bold", name);
        for tick in axis.ticks() {
            let x = axis.place(tick);
            svg.text((x, HEAD - 10.0), Anchor::Middle, "small", &format!("{}×", short(tick)));
            svg.line((x, HEAD - 5.0), (x, height - LINE), "grid");
        }
    }
    let mut y = HEAD;
    for case in by_case(rows) {
        svg.text((4.0, y + 12.0), Anchor::Start, "bold", &case[0].case);
        svg.line((0.0, y), (LEFT + 4.0 * COLUMN, y), "grid");
        for row in &case[1..] {
            y += LINE;
            svg.text((LEFT - 8.0, y + 12.0), Anchor::End, "", &row.tool);
            for (axis, ratio) in columns.iter().zip(row.ratios(&case[0])) {
                bar(&mut svg, axis, y, ratio);
            }
        }
        y += LINE;
    }
    for axis in &columns {
        svg.line((axis.place(1.0), HEAD - 5.0), (axis.place(1.0), height - LINE), "one");
    }
    svg.finish(title)
}

fn column(number: usize, ratios: &[f64]) -> Axis {
    let left = LEFT + number as f64 * COLUMN;
    Axis::around(ratios.iter().copied(), (left + 10.0, left + COLUMN - NUMBERS))
}

fn shown(ratio: f64) -> f64 {
    ratio.clamp(SHOWN.0, SHOWN.1)
}

/// From one to the ratio, to the right where steprun costs less.
fn bar(svg: &mut Svg, axis: &Axis, y: f64, ratio: Option<f64>) {
    let one = axis.place(1.0);
    let Some(ratio) = ratio else { return };
    let end = axis.place(shown(ratio));
    let class = if ratio < 1.0 { "fill1" } else { "fill0" };
    svg.rectangle((one.min(end), y + 3.0), ((end - one).abs().max(1.0), LINE - 5.0), class);
    let number = if ratio < 9.95 { format!("{ratio:.2}") } else { format!("{ratio:.0}") };
    svg.text((one.max(end) + 4.0, y + 12.0), Anchor::Start, "small", &number);
}
