//! The progress bar of a `get`: on a terminal only.
//!
//! Knows: how a job's progress is drawn. Does not know: how it comes about.

use std::io::IsTerminal;

use indicatif::{ProgressBar, ProgressStyle};

use super::amount;
use crate::control::api::{JobState, JobView};

/// A bar, or nothing where nobody could see it.
pub(super) struct Progress {
    bar: ProgressBar,
}

impl Progress {
    pub(super) fn new(is_wanted: bool) -> Self {
        let bar = if is_wanted && std::io::stderr().is_terminal() {
            ProgressBar::new(0)
        } else {
            ProgressBar::hidden()
        };
        bar.set_style(unknown_len());
        Self { bar }
    }

    /// Shows the job as it stands.
    pub(super) fn show(&self, view: &JobView) {
        if let Some(len) = view.len
            && self.bar.length() != Some(len)
        {
            self.bar.set_style(known_len());
            self.bar.set_length(len);
        }
        self.bar.set_position(view.stored);
        let waiting = match view.state {
            JobState::TransientError => format!(" — waiting: {}", view.reason),
            JobState::Connecting => " — connecting".into(),
            JobState::Suspended => " — suspended".into(),
            _ => String::new(),
        };
        let shares =
            [("origin", view.bytes.origin), ("peers", view.bytes.peers), ("cache", view.bytes.cache)];
        let shares = shares.into_iter().filter(|(_, bytes)| *bytes > 0);
        let shares: Vec<String> =
            shares.map(|(name, bytes)| format!("{name} {}", amount::bytes(bytes))).collect();
        self.bar.set_message(format!("{}{waiting}", shares.join(", ")));
    }

    /// Whether somebody sees it.
    pub(super) fn is_drawn(&self) -> bool {
        !self.bar.is_hidden()
    }

    /// Takes the bar away.
    pub(super) fn finish(&self) {
        self.bar.finish_and_clear();
    }
}

fn known_len() -> ProgressStyle {
    style("{bar:24} {percent:>3}% {binary_bytes_per_sec:>12} {eta:>4}  {wide_msg}")
}

fn unknown_len() -> ProgressStyle {
    style("{spinner} {binary_bytes} {binary_bytes_per_sec}  {wide_msg}")
}

fn style(template: &str) -> ProgressStyle {
    // A template that cannot be read shows as the default one.
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_templates_can_be_read() {
        for template in [
            "{bar:24} {percent:>3}% {binary_bytes_per_sec:>12} {eta:>4}  {wide_msg}",
            "{spinner} {binary_bytes}",
        ] {
            assert!(ProgressStyle::with_template(template).is_ok(), "{template}");
        }
    }
}
