//! What the view says of its jobs.

use super::*;

fn job(first: u8, state: JobState) -> JobView {
    let files_transferred = usize::from(state == JobState::Transferred);
    JobView { id: JobId([first; 16]), state, files_total: 1, files_transferred, ..JobView::default() }
}

fn at(ms: u64) -> Instant {
    Instant::ZERO.after(Duration::from_millis(ms))
}

#[test]
fn cli_6_without_names_the_view_has_what_is_not_settled() {
    let mut board = Board::new(Vec::new());
    assert!(!board.wants(&job(1, JobState::Suspended)) && board.wants(&job(2, JobState::Queued)));
    assert_eq!(board.exit(), Some(Exit::Done), "nothing is on its way");
    board.see(job(2, JobState::Queued), false, at(0));
    assert_eq!(board.exit(), None);
    assert!(board.wants(&job(2, JobState::Transferred)), "it was here before");
    board.see(job(2, JobState::Transferred), false, at(1));
    assert_eq!(board.exit(), Some(Exit::Done));
}

#[test]
fn the_view_ends_when_all_are_settled_with_the_first_bad_outcome() {
    let ids = [1, 2, 3].map(|first| JobId([first; 16])).to_vec();
    let mut board = Board::new(ids);
    assert!(!board.wants(&job(4, JobState::Queued)));
    board.see(job(3, JobState::Transferring), false, at(0));
    board.see(job(1, JobState::Acknowledged), false, at(0));
    board.see(job(2, JobState::Error), false, at(0));
    assert_eq!(board.exit(), None);
    // Forgotten by the node.
    board.keep(&[job(1, JobState::Acknowledged)]);
    assert_eq!(board.exit(), Some(Exit::Partial));
}

#[test]
fn only_changes_are_shown() {
    let mut board = Board::new(Vec::new());
    assert!(board.see(job(1, JobState::Queued), false, at(0)).is_some());
    assert!(board.see(job(1, JobState::Queued), false, at(500)).is_none());
    let seen = board.see(job(1, JobState::Transferred), true, at(900)).expect("a change");
    assert!(!seen.is_settled, "it is about to be delivered");
}

#[test]
fn rates_are_those_of_the_last_seconds_by_source() {
    let mut board = Board::new(Vec::new());
    let view = |origin, peers| JobView {
        bytes: BytesBySource { origin, peers, ..BytesBySource::default() },
        len: Some(100 << 20),
        stored: origin + peers,
        ..job(1, JobState::Transferring)
    };
    for (ms, origin, peers) in [(0, 0, 0), (1_000, 90 << 20, 0), (4_000, 90 << 20, 0)] {
        board.see(view(origin, peers), false, at(ms));
    }
    let seen = board.see(view(90 << 20, 6 << 20), false, at(7_000)).expect("a change");
    assert_eq!(seen.rates, SourceRates { origin: 0, peers: 2 << 20, cache: 0 });
    assert_eq!(seen.text(), "transferring, 96 % of 100.0 MiB, peers 2.0 MiB/s");
    assert!(seen.step().contains(" 9 "), "{}", seen.step());
}

#[test]
fn the_view_says_what_a_job_waits_for() {
    let mut board = Board::new(Vec::new());
    let seen = board.see(job(1, JobState::Queued), false, at(0)).expect("a change");
    assert_eq!(seen.text(), "queued, 0 B — waits for its turn");
    let waits = JobView {
        reason: "no route to the origin".into(),
        files_total: 3,
        files_transferred: 1,
        ..job(2, JobState::TransientError)
    };
    let seen = board.see(waits, false, at(0)).expect("a change");
    assert_eq!(seen.text(), "transient-error, 1 of 3 files, 0 B — no route to the origin");
    assert_eq!(seen.brief(), "transient-error — no route to the origin, 1 of 3 files, 0 B");
}

#[test]
fn bytes_of_an_origin_without_ranges_are_progress_too() {
    let view = JobView {
        bytes: BytesBySource { origin: 90, discarded: 20, ..BytesBySource::default() },
        len: Some(100),
        ..job(1, JobState::Transferring)
    };
    assert_eq!((arrived(&view), percent(&view)), (70, 70));
    assert_eq!(arrived(&JobView { stored: 80, ..view.clone() }), 80);
    assert_eq!(arrived(&JobView { len: Some(50), ..view.clone() }), 50);
    assert_eq!(percent(&JobView { len: Some(0), ..view }), 0);
}
