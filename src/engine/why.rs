//! The decision records of one job, bounded.
//!
//! Knows: which decisions are one thought and may be joined. Does not know: why anything is decided.

use std::collections::BTreeMap;
use std::time::Duration;

use peer_proto::content::ByteRange;
use peer_proto::time::Instant;

use super::explain::Decision;
use super::io::LeaseId;
use super::pace::per_second;

/// Decisions kept for one job.
pub const DECISIONS_MAX: usize = 2_000;
const LOOK_BACK: usize = 16;

#[derive(Clone, Debug, Default)]
struct Outcome {
    bytes: u64,
    started: Option<Instant>,
    leases: u32,
    open: u32,
    faults: Vec<String>,
}

/// The decisions of one job, oldest first.
#[derive(Clone, Debug, Default)]
pub(super) struct Why {
    started: Instant,
    list: Vec<Decision>,
    outcomes: BTreeMap<usize, Outcome>,
    open: BTreeMap<LeaseId, usize>,
}

impl Why {
    pub(super) fn new(kept: Vec<Decision>, now: Instant) -> Self {
        Self { started: now, list: kept, outcomes: BTreeMap::new(), open: BTreeMap::new() }
    }

    pub(super) fn list(&self) -> &[Decision] {
        &self.list
    }

    /// Notes a lease. Neighbouring leases of one source for one reason are one decision; `others` is asked for only
    /// if this is a new one.
    pub(super) fn lease(
        &mut self,
        lease: LeaseId,
        range: Option<ByteRange>,
        chosen: &str,
        why: &str,
        others: impl FnOnce() -> Vec<String>,
        now: Instant,
    ) {
        let full = self.list.len() >= DECISIONS_MAX;
        let first = if full { 0 } else { self.list.len().saturating_sub(LOOK_BACK) };
        let same = (first..self.list.len()).rev().find(|at| {
            let before = &self.list[*at];
            let adjoins = match (before.range, range) {
                (Some(before), Some(range)) => before.end() == range.start(),
                _ => false,
            };
            before.chosen == chosen
                && before.why == why
                && (adjoins || full)
                && self.outcomes.contains_key(at)
        });
        let at = match (same, range) {
            (Some(at), Some(range)) => {
                let before = self.list[at].range.unwrap_or(range);
                let hull = before.start().min(range.start())..before.end().max(range.end());
                self.list[at].range = ByteRange::new(hull);
                at
            }
            (Some(at), None) => at,
            (None, _) if full => return,
            (None, _) => {
                self.push(range, chosen, why, others(), String::new(), now);
                self.list.len() - 1
            }
        };
        let outcome = self.outcomes.entry(at).or_default();
        outcome.started.get_or_insert(now);
        outcome.leases += 1;
        outcome.open += 1;
        self.open.insert(lease, at);
    }

    /// Notes something that is no lease.
    pub(super) fn note(&mut self, chosen: &str, why: String, outcome: String, now: Instant) {
        let repeated = self.list.last().is_some_and(|last| last.chosen == chosen && last.why == why);
        if !repeated && self.list.len() < DECISIONS_MAX {
            self.push(None, chosen, &why, Vec::new(), outcome, now);
        }
    }

    /// Notes what came of a lease.
    pub(super) fn ended(&mut self, lease: LeaseId, stored: u64, fault: Option<String>, now: Instant) {
        let Some(at) = self.open.remove(&lease) else { return };
        let Some(outcome) = self.outcomes.get_mut(&at) else { return };
        outcome.bytes = outcome.bytes.saturating_add(stored);
        outcome.open = outcome.open.saturating_sub(1);
        if let Some(fault) = fault
            && !outcome.faults.contains(&fault)
            && outcome.faults.len() < 4
        {
            outcome.faults.push(fault);
        }
        let span = outcome.started.map_or(Duration::ZERO, |started| now.since(started));
        let mut text = format!("{} bytes in {} ms", outcome.bytes, span.as_millis());
        if outcome.bytes > 0 {
            text.push_str(&format!(" ({} kB/s)", per_second(outcome.bytes, span) / 1_000));
        }
        if outcome.leases > 1 {
            text.push_str(&format!(", {} leases", outcome.leases));
        }
        for fault in &outcome.faults {
            text.push_str("; ");
            text.push_str(fault);
        }
        self.list[at].outcome = text;
    }

    fn push(
        &mut self,
        range: Option<ByteRange>,
        chosen: &str,
        why: &str,
        others: Vec<String>,
        outcome: String,
        now: Instant,
    ) {
        let at_ms = u64::try_from(now.since(self.started).as_millis()).unwrap_or(u64::MAX);
        self.list.push(Decision { at_ms, range, chosen: chosen.into(), why: why.into(), others, outcome });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neighbouring_leases_for_one_reason_are_one_decision() {
        let mut why = Why::new(Vec::new(), Instant::ZERO);
        for at in 0..10 {
            let range = ByteRange::new(at * 10..at * 10 + 10);
            why.lease(LeaseId(at), range, "origin", "nobody holds it", Vec::new, Instant::ZERO);
        }
        why.lease(
            LeaseId(10),
            ByteRange::new(500..510),
            "origin",
            "nobody holds it",
            Vec::new,
            Instant::ZERO,
        );
        assert_eq!(why.list().len(), 2);
        assert_eq!(why.list()[0].range, ByteRange::new(0..100));
        why.ended(LeaseId(0), 10, None, Instant::from_micros(1_000));
        why.ended(LeaseId(1), 10, Some("stopped".into()), Instant::from_micros(2_000));
        assert_eq!(why.list()[0].outcome, "20 bytes in 2 ms (10 kB/s), 10 leases; stopped");
        assert_eq!(why.list()[1].outcome, "");
    }

    #[test]
    fn the_list_stays_bounded() {
        let mut why = Why::new(Vec::new(), Instant::ZERO);
        for at in 0..5_000 {
            let range = ByteRange::new(at * 20..at * 20 + 10);
            why.lease(LeaseId(at), range, "origin", "because", || vec!["nobody".into()], Instant::ZERO);
            why.ended(LeaseId(at), 10, None, Instant::ZERO);
        }
        assert_eq!(why.list().len(), DECISIONS_MAX);
    }
}
