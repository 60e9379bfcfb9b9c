//! Axes, and curves over time between them, as SVG.
//!
//! Knows: how values become places, where an axis has its numbers. Does not know: what is drawn.

use std::fmt::Write;

/// Width of every picture; a browser scales it.
pub(super) const WIDTH: f64 = 960.0;
const LEFT: f64 = 54.0;
const RIGHT: f64 = 14.0;
const BOTTOM: f64 = 34.0;
/// Curves that stand still for less than this are not drawn finer.
const PLACE: f64 = 0.05;

/// A picture over time.
#[derive(Clone, Debug)]
pub(super) struct Chart {
    height: f64,
    top: f64,
    /// Seconds, and the greatest value.
    max: (f64, f64),
}

impl Chart {
    /// A picture of so many seconds, with values up to `most` and room for `rows` lines of words above.
    pub(super) fn new(height: f64, rows: usize, seconds: f64, most: f64) -> Self {
        Self { height, top: 12.0 + 14.0 * real(rows.max(1)), max: (seconds.max(1e-3), most.max(1e-9)) }
    }

    pub(super) fn x(&self, seconds: f64) -> f64 {
        LEFT + (WIDTH - LEFT - RIGHT) * seconds / self.max.0
    }

    pub(super) fn y(&self, value: f64) -> f64 {
        let bottom = self.height - BOTTOM;
        bottom - (bottom - self.top) * value / self.max.1
    }

    /// The picture's frame with what is in it. `unit` is what the values are; time is in seconds.
    pub(super) fn svg(&self, label: &str, unit: &str, inside: &str) -> String {
        let mut svg = String::new();
        let (per_second, per_unit) = (self.x(1.0) - self.x(0.0), self.y(0.0) - self.y(1.0));
        write!(
            svg,
            "<svg viewBox=\"0 0 {WIDTH} {}\" role=\"img\" aria-label=\"{label}\" data-x0=\"{}\" data-y0=\"{}\" \
             data-x-per-s=\"{per_second}\" data-y-per-unit=\"{per_unit}\">",
            self.height,
            self.x(0.0),
            self.y(0.0)
        )
        .unwrap_or_default();
        self.axes(&mut svg, unit);
        svg.push_str(inside);
        svg.push_str("</svg>\n");
        svg
    }

    fn axes(&self, svg: &mut String, unit: &str) {
        let (left, right, bottom) = (LEFT, WIDTH - RIGHT, self.y(0.0));
        for value in ticks(self.max.1, 5) {
            let y = self.y(value);
            let class = if value == 0.0 { "axis" } else { "grid" };
            line(svg, class, (left, y), (right, y));
            words(svg, "", "end", (left - 8.0, y + 4.0), &number(value));
        }
        words(svg, "", "start", (0.0, 11.0), unit);
        for seconds in ticks(self.max.0, 9) {
            let x = self.x(seconds);
            line(svg, "axis", (x, bottom), (x, bottom + 5.0));
            words(svg, "", "middle", (x, bottom + 19.0), &number(seconds));
        }
        words(svg, "", "end", (right, self.height - 1.0), "seconds");
    }

    /// A dashed line at a value, with a word.
    pub(super) fn level(&self, svg: &mut String, value: f64, text: &str) {
        let y = self.y(value);
        line(svg, "full", (LEFT, y), (WIDTH - RIGHT, y));
        words(svg, "", "end", (WIDTH - RIGHT, y - 5.0), text);
    }

    /// Moments with a word each; words that would touch stand one above the other.
    pub(super) fn marks(&self, svg: &mut String, rows: usize, marks: &[(f64, String)]) {
        let mut ends = vec![f64::MIN; rows.max(1)];
        for (seconds, text) in marks {
            let x = self.x(*seconds);
            line(svg, "mark", (x, 2.0), (x, self.y(0.0)));
            let len = 8.0 + 6.2 * real(text.chars().count());
            let at = if x + len > WIDTH { x - len } else { x };
            let Some(row) = ends.iter().position(|end| *end < at) else { continue };
            if let Some(end) = ends.get_mut(row) {
                *end = at + len;
            }
            words(svg, "marked", "start", (at + 4.0, 11.0 + 13.0 * real(row)), text);
        }
    }

    /// A curve through points, without those that lie on the line between their neighbours.
    pub(super) fn curve(&self, points: &[(f64, f64)]) -> String {
        let mut path = String::new();
        let mut drawn: Option<(f64, f64)> = None;
        for (index, (seconds, value)) in points.iter().enumerate() {
            let place = (self.x(*seconds), self.y(*value));
            let next = points.get(index + 1).map(|(seconds, value)| (self.x(*seconds), self.y(*value)));
            let is_between = drawn.zip(next).is_some_and(|(before, after)| on_the_way(before, place, after));
            if !is_between {
                let command = if drawn.is_none() { "M" } else { "L" };
                write!(path, "{command}{:.1} {:.1}", place.0, place.1).unwrap_or_default();
                drawn = Some(place);
            }
        }
        path
    }

    /// A flight of steps: each value holds until its moment; the first begins at zero.
    pub(super) fn steps(&self, steps: &[(f64, f64)]) -> String {
        let mut path = format!("M{:.2} {:.2}", self.x(0.0), self.y(0.0));
        for (until, value) in steps {
            write!(path, "V{:.3}H{:.3}", self.y(*value), self.x(*until)).unwrap_or_default();
        }
        path
    }

    /// The area between two flights of steps with the same moments.
    pub(super) fn between(&self, lower: &[(f64, f64)], upper: &[(f64, f64)]) -> String {
        let mut path = self.steps(upper);
        for (index, (_, value)) in lower.iter().enumerate().rev() {
            let from =
                index.checked_sub(1).and_then(|before| lower.get(before)).map_or(0.0, |(until, _)| *until);
            write!(path, "V{:.2}H{:.2}", self.y(*value), self.x(from)).unwrap_or_default();
        }
        path.push('Z');
        path
    }
}

fn on_the_way(before: (f64, f64), place: (f64, f64), after: (f64, f64)) -> bool {
    let share = (place.0 - before.0) / (after.0 - before.0).max(1e-9);
    (before.1 + (after.1 - before.1) * share - place.1).abs() < PLACE
}

pub(super) fn line(svg: &mut String, class: &str, from: (f64, f64), to: (f64, f64)) {
    write!(
        svg,
        "<line class=\"{class}\" x1=\"{:.1}\" y1=\"{:.1}\" x2=\"{:.1}\" y2=\"{:.1}\"/>",
        from.0, from.1, to.0, to.1
    )
    .unwrap_or_default();
}

pub(super) fn words(svg: &mut String, class: &str, anchor: &str, at: (f64, f64), text: &str) {
    let text = escaped(text);
    write!(
        svg,
        "<text class=\"{class}\" text-anchor=\"{anchor}\" x=\"{:.1}\" y=\"{:.1}\">{text}</text>",
        at.0, at.1
    )
    .unwrap_or_default();
}

/// Round numbers from zero up to `max`, about so many.
fn ticks(max: f64, about: u32) -> Vec<f64> {
    let rough = max / f64::from(about);
    let power = 10_f64.powf(rough.log10().floor());
    let step = [1.0, 2.0, 5.0, 10.0].map(|step| step * power).into_iter().find(|step| *step >= rough);
    let step = step.unwrap_or(rough);
    (0..=2 * about)
        .map(|count| f64::from(count) * step)
        .take_while(|value| *value <= max * 1.000_001)
        .collect()
}

fn number(value: f64) -> String {
    let text = format!("{value:.3}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// A count as a place on paper.
pub(super) fn real(count: usize) -> f64 {
    u32::try_from(count).map_or(f64::MAX, f64::from)
}

/// Text that is no markup.
pub(super) fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn axes_have_a_few_round_numbers() {
        assert_eq!(ticks(22.4, 9), [0.0, 5.0, 10.0, 15.0, 20.0]);
        assert_eq!(ticks(100.0, 5), [0.0, 20.0, 40.0, 60.0, 80.0, 100.0]);
        for max in [0.001, 0.37, 1.0, 59.0, 3_600.0, 1e6] {
            assert!((3..=12).contains(&ticks(max, 5).len()), "{max}: {:?}", ticks(max, 5));
        }
        assert_eq!((number(2.0), number(0.25), number(1_000.0)), ("2".into(), "0.25".into(), "1000".into()));
    }

    #[test]
    fn a_curve_leaves_out_what_lies_on_its_way() {
        let chart = Chart::new(200.0, 0, 10.0, 100.0);
        let points: Vec<(f64, f64)> =
            (0..=10).map(|at| (f64::from(at), f64::from(at.min(5)) * 20.0)).collect();
        assert_eq!(chart.curve(&points).matches(['M', 'L']).count(), 3, "begin, bend, end");
    }

    #[test]
    fn text_is_never_markup() {
        assert_eq!(escaped("<b a=\"1\">&"), "&lt;b a=&quot;1&quot;&gt;&amp;");
    }
}
