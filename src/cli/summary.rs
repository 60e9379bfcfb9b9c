//! What a `get` says when it is done.
//!
//! Knows: the JSON object, the lines for people, the reasons of `--why`. Does not know: how the file came.

use std::fmt::Write;
use std::time::Duration;

use serde::Serialize;

use super::amount;
use crate::control::api::{BytesBySource, Decision, JobId, JobView, SourceShare};

/// The object that `get --json` prints. Field names are promised.
#[derive(Serialize)]
struct Report<'a> {
    path: &'a std::path::Path,
    len: u64,
    blake3: Option<&'a str>,
    sha256: Option<&'a str>,
    seconds: f64,
    bytes: Bytes,
    restarts: u32,
    sources: &'a [SourceShare],
}

#[derive(Serialize)]
struct Bytes {
    origin: u64,
    peers: u64,
    cache: u64,
    /// Absent if there are none.
    #[serde(skip_serializing_if = "Option::is_none")]
    earlier: Option<u64>,
    discarded: u64,
}

/// What there was of a job before the command that reports of it.
pub(super) struct Before {
    pub(super) job: JobId,
    bytes: BytesBySource,
    sources: Vec<SourceShare>,
}

impl Before {
    /// Of a job as it was seen first: nothing, unless it was there already.
    pub(super) fn of(view: &JobView, is_adopted: bool) -> Self {
        match is_adopted {
            true => Self { job: view.id, bytes: view.bytes, sources: view.sources.clone() },
            false => Self { job: view.id, bytes: BytesBySource::default(), sources: Vec::new() },
        }
    }

    /// Leaves of a job's sums what came since; what was kept of the bytes before is `earlier`.
    pub(super) fn take_from(&self, view: &mut JobView) {
        let (bytes, before) = (&mut view.bytes, &self.bytes);
        bytes.earlier = bytes.earlier.saturating_sub(before.earlier).saturating_add(before.kept());
        bytes.origin = bytes.origin.saturating_sub(before.origin);
        bytes.peers = bytes.peers.saturating_sub(before.peers);
        bytes.cache = bytes.cache.saturating_sub(before.cache);
        bytes.discarded = bytes.discarded.saturating_sub(before.discarded);
        for share in &mut view.sources {
            let known = self.sources.iter().find(|known| known.source == share.source);
            share.bytes = share.bytes.saturating_sub(known.map_or(0, |known| known.bytes));
            share.leases = share.leases.saturating_sub(known.map_or(0, |known| known.leases));
        }
        // A node knows its sources since it started; another one may have begun what it ended.
        for (name, sum) in [("origin", view.bytes.origin), ("cache", view.bytes.cache)] {
            match view.sources.iter_mut().find(|share| share.source == name) {
                Some(share) => share.bytes = sum,
                None => view.sources.push(SourceShare {
                    source: name.to_owned(),
                    address: None,
                    bytes: sum,
                    leases: 0,
                }),
            }
        }
        view.sources.retain(|share| share.bytes > 0);
    }
}

/// One line of JSON.
pub(super) fn json(view: &JobView, took: Duration) -> String {
    let BytesBySource { origin, peers, cache, earlier, discarded } = view.bytes;
    let report = Report {
        path: &view.destination,
        len: view.len.unwrap_or(view.stored),
        blake3: view.blake3.as_deref(),
        sha256: view.sha256.as_deref(),
        seconds: took.as_secs_f64(),
        bytes: Bytes { origin, peers, cache, earlier: (earlier > 0).then_some(earlier), discarded },
        restarts: view.restarts,
        sources: &view.sources,
    };
    serde_json::to_string(&report).unwrap_or_else(|error| format!("{{\"error\":\"{error}\"}}"))
}

/// Lines for people.
pub(super) fn people(view: &JobView, took: Duration) -> String {
    let len = view.len.unwrap_or(view.stored);
    let mut text = format!(
        "{}: {} in {} ({})",
        view.destination.display(),
        amount::bytes(len),
        amount::seconds(took),
        amount::rate(len, took)
    );
    for share in &view.sources {
        let whence = match &share.address {
            Some(address) => format!("{} at {address}", share.source),
            None => share.source.clone(),
        };
        let _ = write!(text, "\n  {:>10} from {whence}", amount::bytes(share.bytes));
    }
    if view.bytes.earlier > 0 {
        let _ =
            write!(text, "\n  {:>10} already on disk from an earlier run", amount::bytes(view.bytes.earlier));
    }
    if view.bytes.discarded > 0 {
        let _ = write!(text, "\n  {:>10} thrown away", amount::bytes(view.bytes.discarded));
    }
    if view.restarts > 0 {
        let _ = write!(
            text,
            "\n  started again {}: the origin changed the file",
            super::amount::times(view.restarts)
        );
    }
    for (name, value) in [("blake3", &view.blake3), ("sha256", &view.sha256)] {
        if let Some(value) = value {
            let _ = write!(text, "\n  {name} {value}");
        }
    }
    text
}

/// One line for every decision, and one for everybody who was passed over.
pub(super) fn why(decisions: &[Decision]) -> String {
    let mut text = String::new();
    for decision in decisions {
        let at = Duration::from_millis(decision.at_ms);
        let range = decision.range.map(|range| format!(" {range}")).unwrap_or_default();
        let outcome = match (decision.outcome.as_str(), decision.range) {
            // A word about the file, of which nothing more is to come.
            ("", None) => String::new(),
            ("", Some(_)) => " — still open".to_owned(),
            (outcome, _) => format!(" — {outcome}"),
        };
        let _ = writeln!(
            text,
            "{:>9}{range} {}: {}{outcome}",
            amount::seconds(at),
            decision.chosen,
            decision.why
        );
        for other in &decision.others {
            let _ = writeln!(text, "{:>9} not {other}", "");
        }
    }
    text.trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::api::{JobId, JobState};

    fn view() -> JobView {
        JobView {
            id: JobId([1; 16]),
            url: "http://a.test/f".into(),
            destination: "/tmp/f".into(),
            state: JobState::Acknowledged,
            len: Some(64 << 20),
            stored: 64 << 20,
            bytes: BytesBySource { origin: 1, peers: 2, cache: 3, earlier: 0, discarded: 4 },
            sources: vec![SourceShare { source: "origin".into(), address: None, bytes: 1, leases: 1 }],
            blake3: Some("aa".into()),
            ..JobView::default()
        }
    }

    #[test]
    fn the_json_object_has_exactly_the_promised_fields() {
        let text = json(&view(), Duration::from_millis(1_500));
        let value: serde_json::Value = serde_json::from_str(&text).expect("it is JSON");
        let keys = |value: &serde_json::Value| -> Vec<String> {
            value.as_object().expect("an object").keys().cloned().collect()
        };
        assert_eq!(
            keys(&value),
            ["blake3", "bytes", "len", "path", "restarts", "seconds", "sha256", "sources"]
        );
        assert_eq!(keys(&value["bytes"]), ["cache", "discarded", "origin", "peers"]);
        assert_eq!((value["seconds"].as_f64(), value["sha256"].is_null()), (Some(1.5), true));
        assert!(!text.contains('\n'));
    }

    #[test]
    fn a_command_that_goes_on_reports_what_it_fetched_itself_and_what_was_there() {
        let mut first = view();
        // 30 bytes are on disk, of which 10 the node did not write down.
        first.bytes = BytesBySource { origin: 25, peers: 0, cache: 0, earlier: 0, discarded: 5 };
        first.sources.clear();
        let mut last = view();
        last.bytes = BytesBySource { origin: 95, peers: 4, cache: 0, earlier: 10, discarded: 9 };
        let share =
            |source: &str, bytes| SourceShare { source: source.into(), address: None, bytes, leases: 2 };
        last.sources = vec![share("origin", 95), share("p", 4), share("idle", 0)];
        let mut fresh = last.clone();
        Before::of(&first, true).take_from(&mut last);
        assert_eq!(last.bytes, BytesBySource { origin: 70, peers: 4, cache: 0, earlier: 30, discarded: 4 });
        assert_eq!(last.bytes.kept(), fresh.bytes.kept(), "they add up to the file");
        assert_eq!(last.sources, [share("origin", 70), share("p", 4)]);
        Before::of(&first, false).take_from(&mut fresh);
        assert_eq!((fresh.bytes.origin, fresh.bytes.earlier), (95, 10), "a job of its own");
    }

    #[test]
    fn people_read_what_came_from_where() {
        let text = people(&view(), Duration::from_secs(2));
        assert!(text.starts_with("/tmp/f: 64.0 MiB in 2.00 s (33.5 MB/s)"), "{text}");
        assert!(text.contains("1 B from origin") && text.contains("4 B thrown away"), "{text}");
    }
}
