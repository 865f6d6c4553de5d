//! Lines of growth, both axes logarithmic: what grows with its size is as steep as the guide.

use super::{Anchor, Axis, Svg, short};
use crate::report::Row;

const SIZE: (f64, f64) = (560.0, 360.0);
const PLOT: ((f64, f64), (f64, f64)) = ((60.0, 370.0), (310.0, 20.0));

/// A line for each tool, over the sizes.
pub(crate) fn lines(title: &str, unit: &str, rows: &[Row]) -> String {
    let mut svg = Svg::new(SIZE.0, SIZE.1);
    let size = |row: &Row| row.size.unwrap_or(1) as f64;
    let sizes = Axis::around(rows.iter().map(size), PLOT.0);
    let times = Axis::around(rows.iter().map(|row| row.cost.wall), PLOT.1);
    grid(&mut svg, &sizes, &times);
    svg.text((sizes.places.1, SIZE.1 - 12.0), Anchor::End, "bold", unit);
    svg.text((8.0, 12.0), Anchor::Start, "bold", "seconds");
    guide(&mut svg, &sizes, &times);
    let mut tools: Vec<&str> = Vec::new();
    for row in rows {
        if !tools.contains(&row.tool.as_str()) {
            tools.push(&row.tool);
        }
    }
    for (number, tool) in tools.into_iter().enumerate() {
        let (line, fill) = (format!("line{}", number % 4), format!("fill{}", number % 4));
        let mut points: Vec<(f64, f64)> = rows
            .iter()
            .filter(|row| row.tool == tool)
            .map(|row| (sizes.place(size(row)), times.place(row.cost.wall)))
            .collect();
        points.sort_by(|one, other| one.0.total_cmp(&other.0));
        svg.path(&points, &line);
        points.iter().for_each(|point| svg.circle(*point, &fill));
        legend(&mut svg, number, &line, tool);
    }
    legend(&mut svg, 5, "guide", "as its size");
    svg.finish(title)
}

fn grid(svg: &mut Svg, sizes: &Axis, times: &Axis) {
    for tick in sizes.ticks() {
        let x = sizes.place(tick);
        svg.line((x, times.places.0), (x, times.places.1), "grid");
        svg.text((x, times.places.0 + 16.0), Anchor::Middle, "small", &short(tick));
    }
    for tick in times.ticks() {
        let y = times.place(tick);
        svg.line((sizes.places.0, y), (sizes.places.1, y), "grid");
        svg.text((sizes.places.0 - 6.0, y + 4.0), Anchor::End, "small", &short(tick));
    }
}

/// Through the upper right corner, to where the plot ends.
fn guide(svg: &mut Svg, sizes: &Axis, times: &Axis) {
    let ((small, large), (short, long)) = (sizes.values, times.values);
    let smallest = small.max(large * short / long);
    let from = (sizes.place(smallest), times.place(long * smallest / large));
    svg.line(from, (sizes.places.1, times.places.1), "guide");
}

fn legend(svg: &mut Svg, number: usize, class: &str, text: &str) {
    let (x, y) = (PLOT.0.1 + 14.0, 30.0 + number as f64 * 20.0);
    svg.line((x, y), (x + 22.0, y), class);
    svg.text((x + 28.0, y + 4.0), Anchor::Start, "small", text);
}
