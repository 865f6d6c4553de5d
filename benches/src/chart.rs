//! Charts as SVG: text on nothing, readable on light and dark pages.

mod bars;
mod lines;

pub(crate) use bars::bars;
pub(crate) use lines::lines;

use std::fmt::Write as _;

/// Colours are told apart by those who see few of them, and on either background.
const STYLE: &str = "text{font:12px sans-serif;fill:#24292f}.bold{font-weight:bold}.small{font-size:10px}\
                     .grid{stroke:#888;stroke-opacity:.35}.one{stroke:#888}.guide{stroke:#888;stroke-dasharray:4 4}\
                     .line0,.line1,.line2,.line3{stroke-width:2;fill:none}\
                     .line0{stroke:#0a7ac4}.line1{stroke:#e07b00}.line2{stroke:#0a9a73}.line3{stroke:#c85fa0}\
                     .fill0{fill:#0a7ac4}.fill1{fill:#e07b00}.fill2{fill:#0a9a73}.fill3{fill:#c85fa0}\
                     @media(prefers-color-scheme:dark){text{fill:#e6edf3}}";

/// Where a text stands to its point.
#[derive(Debug, Clone, Copy)]
enum Anchor {
    Start,
    Middle,
    End,
}

/// A drawing.
struct Svg {
    body: String,
    size: (f64, f64),
}

impl Svg {
    fn new(width: f64, height: f64) -> Self {
        Self { body: String::new(), size: (width, height) }
    }

    fn add(&mut self, element: std::fmt::Arguments<'_>) {
        // Writing to a string can't fail.
        let _ = writeln!(self.body, "{element}");
    }

    fn line(&mut self, from: (f64, f64), to: (f64, f64), class: &str) {
        let ((x1, y1), (x2, y2)) = (from, to);
        self.add(format_args!(r#"<line x1="{x1:.1}" y1="{y1:.1}" x2="{x2:.1}" y2="{y2:.1}" class="{class}"/>"#));
    }

    fn rectangle(&mut self, (x, y): (f64, f64), (width, height): (f64, f64), class: &str) {
        self.add(format_args!(
            r#"<rect x="{x:.1}" y="{y:.1}" width="{width:.1}" height="{height:.1}" class="{class}"/>"#
        ));
    }

    fn circle(&mut self, (x, y): (f64, f64), class: &str) {
        self.add(format_args!(r#"<circle cx="{x:.1}" cy="{y:.1}" r="3" class="{class}"/>"#));
    }

    fn path(&mut self, points: &[(f64, f64)], class: &str) {
        let points: Vec<String> = points.iter().map(|(x, y)| format!("{x:.1},{y:.1}")).collect();
        self.add(format_args!(r#"<polyline points="{}" class="{class}"/>"#, points.join(" ")));
    }

    fn text(&mut self, (x, y): (f64, f64), anchor: Anchor, class: &str, text: &str) {
        let anchor = match anchor {
            Anchor::Start => "start",
            Anchor::Middle => "middle",
            Anchor::End => "end",
        };
        let text = escaped(text);
        self.add(format_args!(r#"<text x="{x:.1}" y="{y:.1}" text-anchor="{anchor}" class="{class}">{text}</text>"#));
    }

    fn finish(self, title: &str) -> String {
        let (width, height) = self.size;
        format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width:.0} {height:.0}\" width=\"{width:.0}\" role=\"img\">\n\
             <title>{}</title>\n<style>{STYLE}</style>\n{}</svg>\n",
            escaped(title),
            self.body
        )
    }
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

/// A range of values on a logarithmic axis.
#[derive(Debug, Clone, Copy)]
struct Axis {
    values: (f64, f64),
    places: (f64, f64),
}

impl Axis {
    /// From whole power of ten to whole power of ten, around all values.
    fn around(values: impl Iterator<Item = f64>, places: (f64, f64)) -> Self {
        let (low, high) = values.fold((f64::MAX, f64::MIN), |(low, high), value| (low.min(value), high.max(value)));
        let power = |value: f64| 10_f64.powf(value);
        let (low, high) = (low.log10().floor(), high.log10().ceil());
        Self { values: (power(low), power(high.max(low + 1.0))), places }
    }

    fn place(&self, value: f64) -> f64 {
        let ((low, high), (from, to)) = (self.values, self.places);
        from + (value / low).ln() / (high / low).ln() * (to - from)
    }

    /// The powers of ten.
    fn ticks(&self) -> Vec<f64> {
        let (low, high) = self.values;
        let (low, high) = (low.log10().round() as i32, high.log10().round() as i32);
        (low..=high).map(|power| 10_f64.powi(power)).collect()
    }
}

/// A number as short as it can be told: 0.01, 1, 1000, 10k, 1M.
fn short(number: f64) -> String {
    match number {
        n if n >= 1e6 => format!("{}M", n / 1e6),
        n if n >= 1e4 => format!("{}k", n / 1e3),
        n if n >= 1.0 => format!("{n:.0}"),
        n => format!("{}", (n * 1e6).round() / 1e6),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn axes_are_logarithmic() {
        let axis = Axis::around([3.0, 40.0].into_iter(), (0.0, 200.0));
        assert_eq!(axis.ticks(), [1.0, 10.0, 100.0]);
        assert!((axis.place(10.0) - 100.0).abs() < 1e-6);
        let single = Axis::around([1.0].into_iter(), (0.0, 1.0));
        assert_eq!(single.ticks(), [1.0, 10.0]);
    }

    #[test]
    fn numbers_are_short() {
        let cases = [(0.01, "0.01"), (0.1, "0.1"), (1.0, "1"), (1000.0, "1000"), (100_000.0, "100k"), (1e6, "1M")];
        for (number, text) in cases {
            assert_eq!(short(number), text);
        }
    }

    #[test]
    fn text_is_escaped() {
        let mut svg = Svg::new(1.0, 1.0);
        svg.text((0.0, 0.0), Anchor::Start, "", "a<b & c");
        assert!(svg.finish("x > y").contains(">a&lt;b &amp; c</text>"));
    }
}
