//! What is known of the jobs that somebody watches.
//!
//! Knows: which jobs belong to the view, their rates by source, words for where they stand, when all are settled. Does
//! not know: how that is shown.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use peer_proto::time::Instant;
use serde::Serialize;

use crate::cli::amount;
use crate::cli::exit::Exit;
use crate::cli::job::wait::outcome;
use crate::cli::job::{reason, state};
use crate::control::api::{BytesBySource, JobId, JobState, JobView};

/// Rates are over so long.
const PACE_SPAN: Duration = Duration::from_secs(3);
/// Moments that are remembered for them.
const PACE_MOMENTS_MAX: usize = 64;

/// The jobs of the view.
pub(super) struct Board {
    /// Those that were named; all that are not settled if there are none.
    named: Vec<JobId>,
    rows: BTreeMap<JobId, Row>,
    /// In the order in which they were seen first.
    order: Vec<JobId>,
}

struct Row {
    view: JobView,
    settled: Option<Exit>,
    pace: Pace,
}

/// A job that changed.
pub(super) struct Seen<'a> {
    pub(super) view: &'a JobView,
    pub(super) rates: SourceRates,
    pub(super) is_settled: bool,
}

/// Bytes per second by source.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize)]
pub(super) struct SourceRates {
    pub(super) origin: u64,
    pub(super) peers: u64,
    pub(super) cache: u64,
}

impl Board {
    pub(super) const fn new(named: Vec<JobId>) -> Self {
        Self { named, rows: BTreeMap::new(), order: Vec::new() }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// Whether a job belongs here: it was named, or it is not settled, or it was here before.
    pub(super) fn wants(&self, view: &JobView) -> bool {
        if !self.named.is_empty() {
            return self.named.contains(&view.id);
        }
        // Whether it delivers itself decides nothing here: it would be waited for either way.
        self.rows.contains_key(&view.id) || outcome(view, false).is_none()
    }

    /// Takes note of a job; `None` if nothing changed.
    pub(super) fn see(&mut self, view: JobView, delivers_itself: bool, now: Instant) -> Option<Seen<'_>> {
        let id = view.id;
        if !self.rows.contains_key(&id) {
            self.order.push(id);
        }
        let is_new = self.rows.get(&id).is_none_or(|row| row.view != view);
        let row = self.rows.entry(id).or_insert_with(|| Row {
            view: JobView::default(),
            settled: None,
            pace: Pace::default(),
        });
        row.settled = outcome(&view, delivers_itself);
        row.pace.see(view.bytes, now);
        row.view = view;
        let rates = row.pace.rates();
        is_new.then_some(Seen { view: &row.view, rates, is_settled: row.settled.is_some() })
    }

    /// Jobs that are not listed any more were forgotten by the node after their end.
    pub(super) fn keep(&mut self, listed: &[JobView]) {
        for row in self.rows.values_mut().filter(|row| row.settled.is_none()) {
            if !listed.iter().any(|view| view.id == row.view.id) {
                row.settled = Some(Exit::Partial);
            }
        }
    }

    /// The exit code of the first job that did not come out well, once all are settled.
    pub(super) fn exit(&self) -> Option<Exit> {
        let exits: Option<Vec<Exit>> =
            self.order.iter().filter_map(|id| self.rows.get(id)).map(|row| row.settled).collect();
        exits.map(|exits| exits.into_iter().find(|exit| *exit != Exit::Done).unwrap_or(Exit::Done))
    }
}

impl Seen<'_> {
    /// The job in words: state, progress, rates by source, why it stands there.
    pub(super) fn text(&self) -> String {
        let view = self.view;
        let mut parts = vec![state(view).to_owned()];
        if view.files_total > 1 {
            parts.push(format!("{} of {} files", view.files_transferred, view.files_total));
        }
        parts.push(match view.len {
            Some(len) => format!("{} % of {}", percent(view), amount::bytes(len)),
            None => amount::bytes(arrived(view)),
        });
        if view.state == JobState::Transferring {
            let rates =
                [("origin", self.rates.origin), ("peers", self.rates.peers), ("cache", self.rates.cache)];
            let rates = rates.into_iter().filter(|(_, rate)| *rate > 0);
            parts.extend(rates.map(|(name, rate)| format!("{name} {}/s", amount::bytes(rate))));
        }
        let reason = self.reason();
        let text = parts.join(", ");
        if reason.is_empty() { text } else { format!("{text} — {reason}") }
    }

    /// The same for a narrow terminal, where the end is cut off: why it stands there comes before how far it is.
    pub(super) fn brief(&self) -> String {
        let (text, reason) = (self.text(), self.reason());
        let Some((state, rest)) = text.split_once(", ").filter(|_| !reason.is_empty()) else { return text };
        let rest = rest.strip_suffix(reason).and_then(|rest| rest.strip_suffix(" — ")).unwrap_or(rest);
        format!("{state} — {reason}, {rest}")
    }

    /// What must change for another line.
    pub(super) fn step(&self) -> String {
        let JobView { state, files_transferred, len, .. } = self.view;
        // Of a job whose length is not known yet, every 64 MiB.
        let part = if len.is_some() { percent(self.view) / 10 } else { arrived(self.view) >> 26 };
        format!("{} {files_transferred} {part} {}", state.name(), self.reason())
    }

    /// What the job waits for, if it waits.
    fn reason(&self) -> &str {
        let said = reason(self.view);
        if !said.is_empty() {
            return said;
        }
        match self.view.state {
            JobState::Queued => "waits for its turn",
            JobState::Connecting => "asks the origin and looks for peers",
            JobState::Suspended => "waits for `nearbits job resume`",
            JobState::Transferred if self.is_settled => "waits for `nearbits job complete`",
            _ => "",
        }
    }
}

/// Bytes that are there, or came in and cannot be counted on yet: of an origin without ranges none can until all are
/// there.
pub(super) fn arrived(view: &JobView) -> u64 {
    view.stored.max(view.bytes.kept()).min(view.len.unwrap_or(u64::MAX))
}

/// Whole hundredths of the job that arrived.
fn percent(view: &JobView) -> u64 {
    let len = view.len.unwrap_or_default();
    arrived(view).saturating_mul(100).checked_div(len).unwrap_or_default()
}

/// What came in the last seconds.
#[derive(Default)]
struct Pace {
    moments: VecDeque<(Instant, BytesBySource)>,
}

impl Pace {
    fn see(&mut self, bytes: BytesBySource, now: Instant) {
        self.moments.push_back((now, bytes));
        // The one before the span stays: rates are since then.
        let is_old = |moment: Option<&(Instant, BytesBySource)>| {
            moment.is_some_and(|(at, _)| now.since(*at) >= PACE_SPAN)
        };
        while is_old(self.moments.get(1)) || self.moments.len() > PACE_MOMENTS_MAX {
            self.moments.pop_front();
        }
    }

    fn rates(&self) -> SourceRates {
        let (Some((from, old)), Some((to, new))) = (self.moments.front(), self.moments.back()) else {
            return SourceRates::default();
        };
        let micros = to.since(*from).as_micros();
        let rate = |old: u64, new: u64| {
            let bytes = u128::from(new.saturating_sub(old)) * 1_000_000;
            u64::try_from(bytes.checked_div(micros).unwrap_or_default()).unwrap_or(u64::MAX)
        };
        SourceRates {
            origin: rate(old.origin, new.origin),
            peers: rate(old.peers, new.peers),
            cache: rate(old.cache, new.cache),
        }
    }
}

#[cfg(test)]
#[path = "board_tests.rs"]
mod tests;
