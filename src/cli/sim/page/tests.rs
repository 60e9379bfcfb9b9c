//! Pages: a curve for each machine, rates that add up to what crossed the lines, nothing from elsewhere.

use super::*;
use crate::sim::{SwarmFile, Trace};

fn drawn(text: &str) -> (String, Outcome, Trace) {
    let swarm = SwarmFile::parse(text).unwrap().swarm().unwrap();
    let scenario = Scenario { file: "a/two-words.toml".into(), text: text.into(), swarm };
    let mut trace = Trace::new();
    let outcome = scenario.swarm.run_watched(1, &mut trace).unwrap();
    (of(&scenario, 1, &outcome, &trace, None), outcome, trace)
}

fn attribute<'a>(tag: &'a str, name: &str) -> &'a str {
    let (_, rest) = tag.split_once(&format!("{name}=\"")).unwrap_or_else(|| panic!("{name}: {tag}"));
    rest.split_once('"').unwrap().0
}

fn number(tag: &str, name: &str) -> f64 {
    attribute(tag, name).parse().unwrap()
}

/// Tags of a class, in one of the pictures.
fn tags<'a>(page: &'a str, picture: &str, start: &str) -> (&'a str, Vec<&'a str>) {
    let (_, rest) = page.split_once(&format!("aria-label=\"{picture}\"")).unwrap();
    let (head, inside) = rest.split_once("</svg>").unwrap().0.split_once('>').unwrap();
    (head, inside.split('<').filter(|tag| tag.starts_with(start)).collect())
}

/// Bytes under a flight of steps of Mbit/s over seconds.
fn bytes_under(path: &str, head: &str) -> f64 {
    let (per_s, per_unit) = (number(head, "data-x-per-s"), number(head, "data-y-per-unit"));
    let zero = number(head, "data-y0");
    let (mut x, mut y, mut sum) = (number(head, "data-x0"), zero, 0.0);
    for step in path.split(['V']).skip(1) {
        let (down, right) = step.split_once('H').unwrap();
        y = down.parse().unwrap_or(y);
        let next: f64 = right.parse().unwrap();
        sum += (next - x) / per_s * (zero - y) / per_unit;
        x = next;
    }
    sum * 1e6 / 8.0
}

const OFFICE: &str = "# Five <machines>.\n# nearbits sim x.toml\nfile-mib = 8\nmachines = 5\nwan-mbit = 20\n\
                      [[fault]]\nat-ms = 1000\nwhat = \"sleep\"\nmachine = 1\n\
                      [[fault]]\nat-ms = 3000\nwhat = \"wake\"\nmachine = 1\n";

#[test]
fn every_machine_has_its_curve_and_it_ends_at_the_top() {
    let (page, outcome, _) = drawn(OFFICE);
    let (head, curves) = tags(&page, "progress", "path class=\"node");
    assert_eq!(curves.len(), outcome.shares.len());
    let top = number(head, "data-y0") - 100.0 * number(head, "data-y-per-unit");
    for curve in curves {
        let path = attribute(curve, " d");
        let (_, last) = path.rsplit_once(' ').unwrap();
        assert!((last.parse::<f64>().unwrap() - top).abs() < 0.2, "{path}");
    }
}

#[test]
fn what_is_drawn_of_the_lines_is_what_crossed_them() {
    for text in [OFFICE, "file-mib = 4\nnamed = \"blake3\"\noffices = 3\nmachines = 2\nwan-mbit = 10"] {
        let (page, outcome, _) = drawn(text);
        let (head, total) = tags(&page, "lines", "path class=\"total");
        let (drawn, crossed) = (bytes_under(attribute(total[0], " d"), head), outcome.wan_bytes());
        let crossed = crossed.to_string().parse::<f64>().unwrap();
        assert!((drawn / crossed - 1.0).abs() < 0.005, "{drawn} of {crossed}");
        let (_, offices) = tags(&page, "lines", "path class=\"office");
        assert_eq!(offices.len(), outcome.lines.len());
    }
}

#[test]
fn a_page_needs_nothing_from_elsewhere_and_text_in_it_is_text() {
    let (page, ..) = drawn(OFFICE);
    for word in ["<script", "http:", "https:", "url(", "@import", "<link", "<img"] {
        assert!(!page.contains(word), "{word}");
    }
    assert!(page.contains("<h1>two words</h1>") && page.contains("Five &lt;machines&gt;."), "{page}");
    assert!(page.contains("1 sleeps") && page.contains("prefers-color-scheme: dark"));
    assert!(page.contains("nearbits sim a/two-words.toml --seed 1"));
}

#[test]
fn however_many_machines_there_are_a_page_stays_small() {
    let (page, outcome, trace) =
        drawn("file-kib = 256\nmachines = 300\nholders = 3\nspread-ms = 60000\nport-mbit = 20");
    assert_eq!(tags(&page, "progress", "path class=\"node").1.len(), outcome.shares.len());
    assert!(trace.samples().len() > 100 && page.len() < 400_000, "{} bytes", page.len());
}

#[test]
fn a_world_where_nothing_moves_is_drawn_too() {
    let (page, outcome, _) = drawn("file-mib = 0\nmachines = 2");
    assert_eq!(outcome.unfinished(), 0);
    assert!(!page.contains("NaN") && !page.contains("inf"), "{page}");
}
