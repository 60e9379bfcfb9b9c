//! The decision records of one job, bounded.
//!
//! Knows: which decisions are one thought and may be joined, and how they read. Does not know: why anything is
//! decided.

mod scenery;

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use peer_proto::content::ByteRange;
use peer_proto::peer::PeerId;
use peer_proto::time::Instant;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::explain::Decision;
use super::io::LeaseId;
use super::lease::Giver;
use super::pace::per_second;

pub(super) use scenery::{OriginStand, PeerStand, Scenery};

/// Decisions kept for one job.
pub const DECISIONS_MAX: usize = 2_000;
const LOOK_BACK: usize = 16;
const FAULTS_MAX: usize = 4;
/// What came of leases that were open when their node ended.
const CUT_SHORT: &str = "cut short: the node ended";

/// Who was chosen.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Chosen {
    Nobody,
    Origin,
    Cache,
    Peer(PeerId),
}

impl From<Giver> for Chosen {
    fn from(giver: Giver) -> Self {
        match giver {
            Giver::Origin => Self::Origin,
            Giver::Cache => Self::Cache,
            Giver::Peer(peer) => Self::Peer(peer),
        }
    }
}

impl fmt::Display for Chosen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Nobody => f.write_str("nobody"),
            Self::Origin => f.write_str("origin"),
            Self::Cache => f.write_str("cache"),
            Self::Peer(peer) => peer.fmt(f),
        }
    }
}

/// What came of leases that were one decision.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
struct Outcome {
    bytes: u64,
    started: Instant,
    /// Until the last of them that has ended; `None` if none has.
    span: Option<Duration>,
    leases: u32,
    faults: Vec<String>,
}

/// What a decision came to.
#[derive(Clone, PartialEq, Eq, Debug)]
enum Came {
    Leases(Outcome),
    Words(String),
}

/// One decision as it is kept: ids and numbers.
#[derive(Clone, PartialEq, Debug)]
struct Made {
    at_ms: u64,
    range: Option<ByteRange>,
    chosen: Chosen,
    why: Cow<'static, str>,
    /// How everybody stood; neighbours share it.
    scenery: Option<Arc<Scenery>>,
    result: Came,
}

#[derive(Clone, PartialEq, Debug)]
enum Entry {
    /// Of an earlier process, in words.
    Kept(Arc<Decision>),
    Made(Made),
}

/// The decisions of one job, oldest first. They are put into words when somebody reads them; a copy costs nothing.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Decisions(Arc<Vec<Entry>>);

impl Decisions {
    /// All of them, in words.
    #[must_use]
    pub fn to_vec(&self) -> Vec<Decision> {
        self.0.iter().map(Entry::words).collect()
    }

    /// The last of them, at most so many.
    #[must_use]
    pub(super) fn last(&self, most: usize) -> Self {
        match self.0.len().checked_sub(most) {
            None | Some(0) => self.clone(),
            Some(more) => Self(Arc::new(self.0.iter().skip(more).cloned().collect())),
        }
    }

    /// How many there are.
    #[must_use]
    pub fn count(&self) -> usize {
        self.0.len()
    }
}

/// Decisions of an earlier process.
impl From<Vec<Decision>> for Decisions {
    fn from(kept: Vec<Decision>) -> Self {
        let kept = kept.into_iter().map(|mut decision| {
            // Nobody works on it any more.
            if decision.outcome.is_empty() {
                decision.outcome = CUT_SHORT.to_owned();
            }
            Entry::Kept(Arc::new(decision))
        });
        Self(Arc::new(kept.collect()))
    }
}

impl Serialize for Decisions {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.0.iter().map(Entry::words))
    }
}

impl<'de> Deserialize<'de> for Decisions {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Vec::<Decision>::deserialize(deserializer).map(Self::from)
    }
}

/// Where the decisions of one job are written down.
#[derive(Clone, Debug, Default)]
pub(super) struct Why {
    started: Instant,
    log: Decisions,
    open: BTreeMap<LeaseId, usize>,
    last_scenery: Option<Arc<Scenery>>,
}

impl Why {
    pub(super) fn new(kept: Decisions, now: Instant) -> Self {
        Self { started: now, log: kept, open: BTreeMap::new(), last_scenery: None }
    }

    pub(super) const fn log(&self) -> &Decisions {
        &self.log
    }

    /// Notes a lease. Neighbouring leases of one source for one reason are one decision; `scenery` is asked for only
    /// if this is a new one.
    pub(super) fn lease(
        &mut self,
        lease: LeaseId,
        range: Option<ByteRange>,
        chosen: Chosen,
        why: &'static str,
        scenery: impl FnOnce() -> Scenery,
        now: Instant,
    ) {
        let count = self.log.count();
        let full = count >= DECISIONS_MAX;
        let first = if full { 0 } else { count.saturating_sub(LOOK_BACK) };
        let same = (first..count).rev().find(|at| self.log.0[*at].joins(range, chosen, why, full));
        let at = match same {
            None if full => return,
            None => {
                let scenery = self.share(scenery());
                let outcome = Outcome { started: now, ..Outcome::default() };
                let result = Came::Leases(outcome);
                self.push(range, chosen, why.into(), Some(scenery), result, now);
                count
            }
            Some(at) => at,
        };
        if let Some(Entry::Made(made)) = Arc::make_mut(&mut self.log.0).get_mut(at) {
            made.take_in(range);
        }
        self.open.insert(lease, at);
    }

    /// Notes something that is no lease.
    pub(super) fn note(
        &mut self,
        chosen: Chosen,
        why: impl Into<Cow<'static, str>>,
        outcome: String,
        now: Instant,
    ) {
        let why = why.into();
        let repeats =
            |last: &Entry| matches!(last, Entry::Made(made) if made.chosen == chosen && made.why == why);
        if !self.log.0.last().is_some_and(repeats) && self.log.count() < DECISIONS_MAX {
            self.push(None, chosen, why, None, Came::Words(outcome), now);
        }
    }

    /// Notes what came of a lease.
    pub(super) fn ended(&mut self, lease: LeaseId, stored: u64, fault: Option<String>, now: Instant) {
        let Some(at) = self.open.remove(&lease) else { return };
        let Some(Entry::Made(made)) = Arc::make_mut(&mut self.log.0).get_mut(at) else { return };
        let Came::Leases(outcome) = &mut made.result else { return };
        outcome.bytes = outcome.bytes.saturating_add(stored);
        outcome.span = Some(now.since(outcome.started));
        if let Some(fault) = fault
            && !outcome.faults.contains(&fault)
            && outcome.faults.len() < FAULTS_MAX
        {
            outcome.faults.push(fault);
        }
    }

    /// The same as the last one, if that is what it is.
    fn share(&mut self, scenery: Scenery) -> Arc<Scenery> {
        let last = self.last_scenery.take().filter(|last| **last == scenery);
        let shared = last.unwrap_or_else(|| Arc::new(scenery));
        self.last_scenery = Some(Arc::clone(&shared));
        shared
    }

    fn push(
        &mut self,
        range: Option<ByteRange>,
        chosen: Chosen,
        why: Cow<'static, str>,
        scenery: Option<Arc<Scenery>>,
        result: Came,
        now: Instant,
    ) {
        let at_ms = u64::try_from(now.since(self.started).as_millis()).unwrap_or(u64::MAX);
        let made = Made { at_ms, range, chosen, why, scenery, result };
        Arc::make_mut(&mut self.log.0).push(Entry::Made(made));
    }
}

impl Entry {
    /// Whether a lease is the same thought as this one.
    fn joins(&self, range: Option<ByteRange>, chosen: Chosen, why: &str, full: bool) -> bool {
        let Self::Made(made) = self else { return false };
        let adjoins = match (made.range, range) {
            (Some(before), Some(range)) => before.end() == range.start(),
            _ => false,
        };
        (adjoins || full)
            && made.chosen == chosen
            && made.why == why
            && matches!(made.result, Came::Leases(_))
    }

    fn words(&self) -> Decision {
        match self {
            Self::Kept(decision) => Decision::clone(decision),
            Self::Made(made) => Decision {
                at_ms: made.at_ms,
                file: None,
                range: made.range,
                chosen: made.chosen.to_string(),
                why: made.why.clone().into_owned(),
                others: made.scenery.iter().flat_map(|scenery| scenery.words(made.chosen)).collect(),
                outcome: match &made.result {
                    Came::Words(words) => words.clone(),
                    Came::Leases(outcome) => outcome.words(),
                },
            },
        }
    }
}

impl Made {
    /// One lease more is of this decision.
    fn take_in(&mut self, range: Option<ByteRange>) {
        if let Some(range) = range {
            let before = self.range.unwrap_or(range);
            let hull = before.start().min(range.start())..before.end().max(range.end());
            self.range = ByteRange::new(hull);
        }
        if let Came::Leases(outcome) = &mut self.result {
            outcome.leases += 1;
        }
    }
}

impl Outcome {
    fn words(&self) -> String {
        let Some(span) = self.span else { return String::new() };
        let mut text = format!("{} bytes in {} ms", self.bytes, span.as_millis());
        if self.bytes > 0 {
            text.push_str(&format!(" ({} kB/s)", per_second(self.bytes, span) / 1_000));
        }
        if self.leases > 1 {
            text.push_str(&format!(", {} leases", self.leases));
        }
        for fault in &self.faults {
            text.push_str("; ");
            text.push_str(fault);
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lease(why: &mut Why, number: u64, start: u64) {
        let range = ByteRange::new(start..start + 10);
        let scenery = || Scenery { nobody: Some("no digest is known"), ..Scenery::default() };
        why.lease(LeaseId(number), range, Chosen::Origin, "nobody holds it", scenery, Instant::ZERO);
    }

    #[test]
    fn what_was_open_when_the_node_ended_is_over_after_a_restart() {
        let mut why = Why::new(Decisions::default(), Instant::ZERO);
        (0..2).for_each(|at| lease(&mut why, at, at * 500));
        why.ended(LeaseId(0), 10, None, Instant::from_micros(1_000));
        assert_eq!(why.log().to_vec()[1].outcome, "", "it is open");
        let text = serde_json::to_string(why.log()).expect("written down");
        let kept: Decisions = serde_json::from_str(&text).expect("read again");
        let outcomes: Vec<String> = kept.to_vec().into_iter().map(|made| made.outcome).collect();
        assert!(outcomes[0].starts_with("10 bytes in 1 ms") && outcomes[1] == CUT_SHORT, "{outcomes:?}");
    }

    #[test]
    fn neighbouring_leases_for_one_reason_are_one_decision() {
        let mut why = Why::new(Decisions::default(), Instant::ZERO);
        (0..10).for_each(|at| lease(&mut why, at, at * 10));
        lease(&mut why, 10, 500);
        why.ended(LeaseId(0), 10, None, Instant::from_micros(1_000));
        why.ended(LeaseId(1), 10, Some("stopped".into()), Instant::from_micros(2_000));
        let list = why.log().to_vec();
        assert_eq!(list.len(), 2);
        assert_eq!(list[0].range, ByteRange::new(0..100));
        assert_eq!(list[0].others, ["peers: no digest is known"]);
        assert_eq!(list[0].outcome, "20 bytes in 2 ms (10 kB/s), 10 leases; stopped");
        assert_eq!(list[1].outcome, "");
    }

    #[test]
    fn the_list_stays_bounded() {
        let mut why = Why::new(Decisions::default(), Instant::ZERO);
        for at in 0..5_000 {
            lease(&mut why, at, at * 20);
            why.ended(LeaseId(at), 10, None, Instant::ZERO);
        }
        assert_eq!(why.log().count(), DECISIONS_MAX);
    }

    #[test]
    fn what_was_written_down_reads_the_same_afterwards() {
        let mut why = Why::new(Decisions::default(), Instant::ZERO);
        lease(&mut why, 1, 0);
        why.note(Chosen::Nobody, "started again", "the origin changed".into(), Instant::ZERO);
        why.ended(LeaseId(1), 10, None, Instant::ZERO);
        let text = serde_json::to_string(why.log()).unwrap();
        let kept: Decisions = serde_json::from_str(&text).unwrap();
        assert_eq!(kept.to_vec(), why.log().to_vec());
        assert!(text.contains(r#""chosen":"nobody","why":"started again","outcome":"the origin changed""#));
    }

    #[test]
    fn a_word_that_is_said_twice_in_a_row_is_written_down_once_and_of_very_many_the_first_ones() {
        let mut why = Why::new(Decisions::default(), Instant::ZERO);
        let mut say = |words: String| {
            why.note(Chosen::Nobody, words, String::new(), Instant::ZERO);
            why.log().count()
        };
        assert_eq!(["a", "a", "b", "a"].map(|words| say(words.into())), [1, 1, 2, 3]);
        let counts = (0..DECISIONS_MAX).map(|number| say(number.to_string())).max();
        assert_eq!(counts, Some(DECISIONS_MAX));
    }

    #[test]
    fn what_came_of_leases_counts_from_the_first_and_names_each_fault_once_and_few_of_them() {
        let at = |seconds| Instant::ZERO.after(std::time::Duration::from_secs(seconds));
        let mut why = Why::new(Decisions::default(), Instant::ZERO);
        let range = |start: u64| ByteRange::new(start..start + 10);
        for number in 0..20_u64 {
            let id = LeaseId(number);
            why.lease(id, range(number * 10), Chosen::Origin, "it is there", Scenery::default, at(5));
            why.ended(id, 10, Some(format!("fault {}.", number / 2)), at(7));
        }
        let [one] = &why.log().to_vec()[..] else { panic!("they are one thought") };
        assert!(one.outcome.starts_with("200 bytes in 2000 ms"), "{}", one.outcome);
        let named = (0..10).filter(|number| one.outcome.contains(&format!("fault {number}."))).count();
        assert_eq!(named, FAULTS_MAX, "{}", one.outcome);
    }
}
