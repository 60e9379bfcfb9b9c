//! What the demo shows while it runs.
//!
//! Knows: one line per node on a terminal, one line per event elsewhere. Does not know: what the nodes do.

use std::io::IsTerminal;

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};

use crate::cli::{amount, say};
use crate::control::api::JobView;

/// The live view.
pub(super) struct View {
    /// `None` where nobody could see bars.
    bars: Option<MultiProgress>,
}

/// One node's line.
pub(super) struct Line {
    name: String,
    bar: Option<ProgressBar>,
}

impl View {
    pub(super) fn new() -> Self {
        Self { bars: std::io::stderr().is_terminal().then(MultiProgress::new) }
    }

    /// A heading.
    pub(super) fn say(&self, text: &str) {
        match &self.bars {
            // The bars stay below; a terminal that went away does not matter.
            Some(bars) => drop(bars.println(text)),
            None => say::line(text),
        }
    }

    /// A line for a node that will fetch `len` bytes.
    pub(super) fn line(&self, name: &str, len: u64) -> Line {
        let bar = self.bars.as_ref().map(|bars| {
            let style = ProgressStyle::with_template("  {prefix:>8} {bar:24} {percent:>3}%  {wide_msg}");
            let bar = bars.add(ProgressBar::new(len));
            bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
            bar.set_prefix(name.to_owned());
            bar
        });
        Line { name: name.to_owned(), bar }
    }
}

impl Line {
    /// Shows the job as it stands.
    pub(super) fn show(&self, view: &JobView) {
        if let Some(bar) = &self.bar {
            bar.set_position(view.stored);
            bar.set_message(from(view));
        }
    }

    /// The node has its file.
    pub(super) fn done(&self, view: &JobView, seconds: &str) {
        match &self.bar {
            Some(bar) => {
                bar.set_position(view.stored);
                bar.finish_with_message(format!("{} in {seconds}", from(view)));
            }
            None => say::line(format_args!("  {}: {} in {seconds}", self.name, from(view))),
        }
    }
}

fn from(view: &JobView) -> String {
    format!("origin {}, peers {}", amount::bytes(view.bytes.origin), amount::bytes(view.bytes.peers))
}
